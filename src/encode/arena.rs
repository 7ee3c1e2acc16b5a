//! The bytes of many records, in the making.

/// How much room is made at once: it is filled with zeros and stays in the fastest cache until it is written to.
const STEP_BYTES: usize = 1024;

/// Bytes that grow at their end. Writers store whole words into the room behind the end and then say how many of
/// their bytes count: short copies of a length that is not known cost more than all else that is done for a field.
#[derive(Debug, Default)]
pub(super) struct Arena {
    bytes: Vec<u8>,
    end: usize,
}

impl Arena {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes + STEP_BYTES), end: 0 }
    }

    /// How many bytes so far.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.end
    }

    /// The bytes from `start` on.
    pub(super) fn since(&self, start: usize) -> &[u8] {
        &self.bytes[start..self.end]
    }

    /// The bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.truncate(self.end);
        self.bytes
    }

    /// Room for `len` bytes; what is written there counts once the end is moved.
    #[inline]
    pub(super) fn room(&mut self, len: usize) -> &mut [u8] {
        if self.bytes.len() - self.end < len {
            self.make_room(len);
        }
        &mut self.bytes[self.end..self.end + len]
    }

    /// Room for `N` bytes.
    #[inline]
    pub(super) fn room_of<const N: usize>(&mut self) -> &mut [u8; N] {
        self.room(N).first_chunk_mut().expect("BUG: the room that was asked for")
    }

    /// Moves the end behind the first `len` bytes of the room.
    #[inline]
    pub(super) fn advance(&mut self, len: usize) {
        self.end += len;
        debug_assert!(self.end <= self.bytes.len(), "BUG: more was written than there was room for");
    }

    #[cold]
    #[inline(never)]
    fn make_room(&mut self, len: usize) {
        self.bytes.resize(self.end + len + STEP_BYTES, 0);
    }

    #[inline]
    pub(super) fn push(&mut self, byte: u8) {
        self.room_of::<1>()[0] = byte;
        self.advance(1);
    }

    #[inline]
    pub(super) fn push_all<const N: usize>(&mut self, bytes: &[u8; N]) {
        *self.room_of::<N>() = *bytes;
        self.advance(N);
    }

    pub(super) fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
        self.advance(bytes.len());
    }

    /// For at most 32 bytes most of the time: two overlapping words instead of a call.
    #[inline]
    pub(super) fn extend_short(&mut self, bytes: &[u8]) {
        let len = bytes.len();
        let room = self.room(len);
        match len {
            0 => {}
            1..4 => {
                room[0] = bytes[0];
                room[len / 2] = bytes[len / 2];
                room[len - 1] = bytes[len - 1];
            }
            4..8 => copy_ends::<4>(room, bytes),
            8..16 => copy_ends::<8>(room, bytes),
            16..=32 => copy_ends::<16>(room, bytes),
            _ => room.copy_from_slice(bytes),
        }
        self.advance(len);
    }

    /// Appends `count` times `byte`.
    pub(super) fn repeat(&mut self, byte: u8, count: usize) {
        self.room(count).fill(byte);
        self.advance(count);
    }
}

/// Copies the first and the last `N` bytes, which together are all: `bytes` has `N` to `2 N`, `room` as many.
#[inline]
fn copy_ends<const N: usize>(room: &mut [u8], bytes: &[u8]) {
    if let (Some(place), Some(first)) = (room.first_chunk_mut::<N>(), bytes.first_chunk::<N>()) {
        *place = *first;
    }
    if let (Some(place), Some(last)) = (room.last_chunk_mut::<N>(), bytes.last_chunk::<N>()) {
        *place = *last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_lengths_the_bytes_are_those_that_were_appended() {
        let source: Vec<u8> = (0..=255).cycle().take(STEP_BYTES * 3).collect();
        let (mut arena, mut expected) = (Arena::default(), Vec::new());
        for len in (0..300).chain([STEP_BYTES - 1, STEP_BYTES, STEP_BYTES * 3]) {
            arena.extend_short(&source[..len]);
            arena.extend_from_slice(&source[source.len() - len..]);
            arena.push(7);
            arena.push_all(b"ab");
            arena.repeat(b'0', len % 5);
            expected.extend_from_slice(&source[..len]);
            expected.extend_from_slice(&source[source.len() - len..]);
            expected.extend_from_slice(b"\x07ab");
            expected.resize(expected.len() + len % 5, b'0');
            assert_eq!(arena.len(), expected.len());
        }
        // What is written behind the end does not count.
        arena.room(50).fill(9);
        assert_eq!(arena.finish(), expected);
    }
}
