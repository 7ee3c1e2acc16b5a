//! Records that are none.

use proptest::collection::vec;
use proptest::prelude::*;

/// A record that is none.
#[derive(Clone)]
pub struct Garbage {
    /// Its kind.
    pub what: &'static str,
    pub value: Vec<u8>,
    /// Words that its reason must have.
    pub reason: &'static str,
}

impl std::fmt::Debug for Garbage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.value[..self.value.len().min(200)].escape_ascii();
        write!(formatter, "{} ({} bytes): {shown}", self.what, self.value.len())
    }
}

/// One of each kind, for a table that has this field; the largest of `bytes_max` bytes.
pub fn garbage_below(bytes_max: usize, field: &str) -> Vec<Garbage> {
    let mut all = Vec::new();
    let mut add = |what, value: Vec<u8>, reason| all.push(Garbage { what, value, reason });
    let object = |text: &str| text.replace("FIELD", field).into_bytes();
    add("nothing at all", Vec::new(), "expected a JSON object");
    add("random bytes", vec![0x00, 0x9f, 0x92, 0x96, 0x0a, 0xff], "expected");
    add("truncated JSON", object(r#"{"FIELD":"u1","name":"x"#), "is it cut off?");
    add("truncated JSON that ends with a brace", object(r#"{"FIELD":null,"other":{"a":1}"#), "expected");
    let (open, close) = ("[".repeat(10_000), "]".repeat(10_000));
    add("10 000 levels of nesting", object(&format!(r#"{{"FIELD":null,"other":{open}{close}}}"#)), "expected");
    add(
        "10 000 levels of objects",
        object(&format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000))),
        "expected",
    );
    add("a record of many bytes", object(&format!(r#"{{"FIELD":"{}"}}"#, "x".repeat(bytes_max))), "max_record_bytes");
    add("a list in place of a value", object(r#"{"FIELD":["u1"]}"#), "field `");
    add("an object in place of a value", object(r#"{"FIELD":{"FIELD":1}}"#), "field `");
    add("a boolean in place of a value", object(r#"{"FIELD":true}"#), "field `");
    add("a field twice", object(r#"{"FIELD":null,"FIELD":null}"#), "second value");
    add("invalid UTF-8", [object(r#"{"FIELD":null,"other":""#), vec![0xc3, 0x28], b"\"}".to_vec()].concat(), "UTF-8");
    add("a huge number", object(&format!(r#"{{"FIELD":{}}}"#, "9".repeat(5_000))), "field `");
    add("a huge exponent", object(r#"{"FIELD":1e999999999999}"#), "field `");
    add("no object", b"[1,2]".to_vec(), "expected a JSON object");
    add("two objects", b"{} {}".to_vec(), "expected nothing after the object");
    all
}

/// Garbage for a table that has this field: one of the kinds, a good record cut off anywhere, or random bytes.
pub fn garbage(field: &'static str) -> impl Strategy<Value = Garbage> {
    let kinds = prop::sample::select(garbage_below(2_000_000, field));
    let whole = br#"{"id":1,"uid":"u1","a":"u2","b":null,"n":1,"team":"t1","level":2,"next":"u3","name":"x"}"#;
    let truncated = (1..whole.len()).prop_map(|length| Garbage {
        what: "a record cut off",
        value: whole[..length].to_vec(),
        reason: "expected",
    });
    let random = vec(any::<u8>(), 1..200)
        .prop_filter("not JSON", |bytes| serde_json::from_slice::<serde_json::Value>(bytes).is_err())
        .prop_map(|value| Garbage { what: "random bytes", value, reason: "expected" });
    prop_oneof![kinds, truncated, random]
}
