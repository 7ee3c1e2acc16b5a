//! Numbered places for small values, used again when they are free, whose memory shrinks as well as it grows.

use std::collections::BTreeSet;

/// Pages of 65 536 values, as `RowRef` counts. The lowest page with room is filled first, so that after a crowd the
/// high pages empty and are given back.
#[derive(Debug)]
pub(super) struct Slab<T> {
    pages: Vec<Page<T>>,
    /// The pages of `pages` that are not full.
    roomy: BTreeSet<usize>,
    values: usize,
}

#[derive(Debug)]
struct Page<T> {
    values: Vec<T>,
    free: Vec<u16>,
}

/// Values a page.
const PAGE: usize = 1 << 16;
/// An empty page of so many values keeps its memory: a few that come and go cost no allocation.
const KEPT: usize = 1 << 10;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { pages: Vec::new(), roomy: BTreeSet::new(), values: 0 }
    }
}

impl<T: Copy> Slab<T> {
    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.values
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        let of_page =
            |page: &Page<T>| page.values.capacity() * size_of::<T>() + page.free.capacity() * size_of::<u16>();
        self.pages.iter().map(of_page).sum::<usize>() + self.pages.capacity() * size_of::<Page<T>>()
    }

    /// Keeps a value under a number that no other has.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        let place = self.roomy.first().copied().unwrap_or_else(|| {
            assert!(self.pages.len() < PAGE - 1, "more than four billion combinations are parked, or what wakes them");
            self.pages.push(Page { values: Vec::new(), free: Vec::new() });
            self.roomy.insert(self.pages.len() - 1);
            self.pages.len() - 1
        });
        let page = &mut self.pages[place];
        let at = if let Some(at) = page.free.pop() {
            page.values[usize::from(at)] = value;
            usize::from(at)
        } else {
            page.values.push(value);
            page.values.len() - 1
        };
        if page.free.is_empty() && page.values.len() == PAGE {
            self.roomy.remove(&place);
        }
        self.values += 1;
        (place << 16 | at) as u32
    }

    /// The value of a number that is in use.
    #[inline]
    pub(super) fn get(&self, number: u32) -> &T {
        &self.pages[number as usize >> 16].values[number as usize & 0xffff]
    }

    /// The value of a number that is in use.
    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> &mut T {
        &mut self.pages[number as usize >> 16].values[number as usize & 0xffff]
    }

    /// The value of a number that is in use, or was once; `None` if its memory is given back.
    #[inline]
    pub(super) fn try_get(&self, number: u32) -> Option<&T> {
        self.pages.get(number as usize >> 16)?.values.get(number as usize & 0xffff)
    }

    /// All values, and those of numbers that are free.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| &page.values)
    }

    /// Frees a number; the page, if this was the last of it.
    pub(super) fn remove(&mut self, number: u32) -> Option<usize> {
        let place = number as usize >> 16;
        let page = &mut self.pages[place];
        if page.free.is_empty() && page.values.len() == PAGE {
            self.roomy.insert(place);
        }
        page.free.push((number & 0xffff) as u16);
        self.values -= 1;
        if page.free.len() < page.values.len() {
            return None;
        }
        if page.values.capacity() <= KEPT {
            page.values.clear();
            page.free.clear();
        } else {
            *page = Page { values: Vec::new(), free: Vec::new() };
        }
        Some(place)
    }
}
