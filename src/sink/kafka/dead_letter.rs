//! The shape of a dead letter in Kafka (SEMANTICS 5.1): the record as it was, and headers that say what is wrong.

use rdkafka::message::{Header, OwnedHeaders};

use crate::batch::DeadLetter;

/// The header that says that the value was cut: it holds the length that the value had, bytes.
const TRUNCATED: &str = "kaflowsql.truncated";
/// Bytes of a record batch besides its record.
const BATCH_BYTES: usize = 61;
/// Most bytes of a record besides key, value and headers: lengths, attributes, timestamp and offset as varints.
const RECORD_BYTES: usize = 40;
/// Most bytes of a header besides name and value.
const HEADER_BYTES: usize = 10;
/// The longest error text that is kept when a letter has to be shortened, bytes.
const SHORT_ERROR: usize = 512;

/// A dead letter that fits its topic.
pub(super) struct Letter<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: OwnedHeaders,
}

impl<'a> Letter<'a> {
    /// `letter` within `max_bytes`: if need be the value is cut; if key and headers alone do not fit, the record's own
    /// headers, then the key, are left out as well, for nothing else could be delivered.
    pub(super) fn fitted(letter: &'a DeadLetter, max_bytes: usize) -> Self {
        let own: usize = letter.headers.iter().map(|(name, value)| size(name, value.as_deref())).sum();
        let mut ours = our_headers(letter, usize::MAX);
        let key = letter.key.as_deref();
        let key_len = key.map_or(0, <[u8]>::len);
        let value_len = letter.value.as_deref().map_or(0, <[u8]>::len);
        let fixed = |ours: &[(&str, String)]| {
            let ours: usize = ours.iter().map(|(name, value)| size(name, Some(value.as_bytes()))).sum();
            BATCH_BYTES + RECORD_BYTES + ours
        };
        if fixed(&ours) + own + key_len + value_len <= max_bytes {
            return Self { key, value: letter.value.as_deref(), headers: headers(letter, true, &ours) };
        }
        ours = our_headers(letter, SHORT_ERROR);
        ours.push((TRUNCATED, value_len.to_string()));
        let with_own = fixed(&ours) + own + key_len < max_bytes;
        let with_key = with_own || fixed(&ours) + key_len < max_bytes;
        let used = fixed(&ours) + if with_own { own } else { 0 } + if with_key { key_len } else { 0 };
        let room = max_bytes.saturating_sub(used);
        Self {
            key: key.filter(|_| with_key),
            value: letter.value.as_deref().map(|value| &value[..value.len().min(room)]),
            headers: headers(letter, with_own, &ours),
        }
    }
}

/// `headers` and a note that the value had `value_len` bytes, unless one says so already.
pub(super) fn with_truncation(headers: OwnedHeaders, value_len: usize) -> OwnedHeaders {
    use rdkafka::message::Headers;
    if headers.iter().any(|header| header.key == TRUNCATED) {
        return headers;
    }
    headers.insert(Header { key: TRUNCATED, value: Some(&value_len.to_string()) })
}

fn size(name: &str, value: Option<&[u8]>) -> usize {
    HEADER_BYTES + name.len() + value.map_or(0, <[u8]>::len)
}

fn our_headers(letter: &DeadLetter, error_len: usize) -> Vec<(&'static str, String)> {
    let mut error = letter.error.clone();
    error.truncate((0..=error_len.min(error.len())).rev().find(|len| error.is_char_boundary(*len)).unwrap_or(0));
    vec![
        ("kaflowsql.topic", letter.topic.clone()),
        ("kaflowsql.partition", letter.partition.to_string()),
        ("kaflowsql.offset", letter.offset.to_string()),
        ("kaflowsql.timestamp", letter.timestamp.to_string()),
        ("kaflowsql.stage", letter.stage.name().to_owned()),
        ("kaflowsql.error", error),
    ]
}

fn headers(letter: &DeadLetter, with_own: bool, ours: &[(&str, String)]) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new_with_capacity(letter.headers.len() + ours.len());
    if with_own {
        for (name, value) in &letter.headers {
            headers = headers.insert(Header { key: name, value: value.as_deref() });
        }
    }
    for (name, value) in ours {
        headers = headers.insert(Header { key: name, value: Some(value.as_bytes()) });
    }
    headers
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers as _;

    use super::*;
    use crate::batch::Stage;

    fn letter(key: usize, value: usize, own: usize, error: usize) -> DeadLetter {
        DeadLetter {
            key: Some(vec![b'k'; key]),
            value: Some(vec![b'v'; value]),
            headers: vec![("trace".into(), Some(vec![b'h'; own])), ("none".into(), None)],
            topic: "orders".into(),
            partition: 3,
            offset: 42,
            timestamp: 1_700_000_000_000,
            stage: Stage::Decode,
            error: "é".repeat(error / 2),
        }
    }

    fn names(letter: &Letter<'_>) -> Vec<String> {
        letter.headers.iter().map(|header| header.key.to_owned()).collect()
    }

    fn bytes(letter: &Letter<'_>) -> usize {
        let headers: usize = letter
            .headers
            .iter()
            .map(|header| HEADER_BYTES + header.key.len() + header.value.map_or(0, <[u8]>::len))
            .sum();
        BATCH_BYTES + RECORD_BYTES + headers + letter.key.map_or(0, <[u8]>::len) + letter.value.map_or(0, <[u8]>::len)
    }

    const OURS: [&str; 6] = [
        "kaflowsql.topic",
        "kaflowsql.partition",
        "kaflowsql.offset",
        "kaflowsql.timestamp",
        "kaflowsql.stage",
        "kaflowsql.error",
    ];

    #[test]
    fn what_fits_is_untouched_and_its_own_headers_come_first() {
        let letter = letter(3, 5, 7, 20);
        let fitted = Letter::fitted(&letter, 10_000);
        assert_eq!(names(&fitted), [&["trace", "none"][..], &OURS].concat());
        assert_eq!((fitted.key, fitted.value), (Some(&b"kkk"[..]), Some(&b"vvvvv"[..])));
        assert_eq!(fitted.headers.get(1).value, None);
        let exact = Letter::fitted(&letter, bytes(&fitted));
        assert_eq!(names(&exact), names(&fitted));
    }

    #[test]
    fn a_large_value_is_cut_to_what_fits() {
        let letter = letter(3, 5_000, 7, 20);
        let fitted = Letter::fitted(&letter, 1_000);
        assert_eq!(names(&fitted), [&["trace", "none"][..], &OURS, &[TRUNCATED]].concat());
        assert_eq!(fitted.headers.get(8).value, Some(&b"5000"[..]));
        assert_eq!(bytes(&fitted), 1_000);
    }

    #[test]
    fn large_headers_then_a_large_key_give_way() {
        let headers = letter(3, 5_000, 2_000, 20);
        let fitted = Letter::fitted(&headers, 1_000);
        assert_eq!(names(&fitted), [&OURS[..], &[TRUNCATED]].concat());
        assert_eq!((fitted.key.map(<[u8]>::len), bytes(&fitted)), (Some(3), 1_000));
        let key = letter(3_000, 5_000, 2_000, 2_000);
        let fitted = Letter::fitted(&key, 2_000);
        assert_eq!((fitted.key, bytes(&fitted)), (None, 2_000));
        assert_eq!(fitted.headers.get(5).value.map(<[u8]>::len), Some(SHORT_ERROR));
    }

    #[test]
    fn a_null_value_stays_null() {
        let mut letter = letter(2_000, 0, 0, 20);
        letter.value = None;
        assert_eq!(Letter::fitted(&letter, 1_000).value, None);
    }

    #[test]
    fn truncation_is_noted_once() {
        let headers = with_truncation(with_truncation(OwnedHeaders::new(), 9), 4);
        assert_eq!((headers.count(), headers.get(0).value), (1, Some(&b"9"[..])));
    }
}
