//! Garbage among good records: each piece ends in the dead letters with its reason, and the good records come out.

use serde_json::Value;

use super::Shop;

/// Garbage, and what its reason must hold.
fn garbage() -> Vec<(Vec<u8>, &'static str)> {
    let mut bytes = 0x9e37_79b9_7f4a_7c15_u64;
    // xorshift, by Marsaglia; line breaks would make it several records.
    let random = std::iter::repeat_with(|| {
        bytes ^= bytes << 13;
        bytes ^= bytes >> 7;
        bytes ^= bytes << 17;
        bytes as u8
    });
    let random: Vec<u8> = random.filter(|byte| !matches!(byte, b'\n' | b'\r')).take(4096).collect();
    let order = |fields: &str| format!("{{\"order_id\":1,{fields}}}").into_bytes();
    let mut not_utf8 = order("\"customer_id\":\"?\"");
    let place = not_utf8.iter().position(|byte| *byte == b'?').expect("a mark");
    not_utf8[place] = 0xff;
    let deep = format!("{}{}", "{\"order_id\":".repeat(10_000), "}".repeat(10_000));
    let deep_unread = order(&format!("\"unread\":{}1{}", "[".repeat(10_000), "]".repeat(10_000)));
    vec![
        (random, ""),
        (b"{\"order_id\":1,\"customer_id\":\"c1\",\"amo".to_vec(), ""),
        (b"{".to_vec(), ""),
        (b"\"text\"".to_vec(), "object"),
        (b"[{\"order_id\":1}]".to_vec(), "object"),
        (b"null null".to_vec(), ""),
        (deep.into_bytes(), "order_id"),
        (deep_unread, "within each other"),
        (order(&format!("\"customer_id\":\"{}\"", "x".repeat(20_000_000))), "max_record_bytes"),
        (b"{\"order_id\":\"1\"}".to_vec(), "order_id"),
        (order("\"amount\":true"), "amount"),
        (order("\"customer_id\":{\"id\":1}"), "customer_id"),
        (order("\"amount\":1,\"amount\":1"), "second value of a field"),
        (not_utf8, "UTF-8"),
        (order("\"amount\":1e400"), "amount"),
        (b"{\"order_id\":99999999999999999999999}".to_vec(), "order_id"),
        (b"{\"order_id\":1.5}".to_vec(), "order_id"),
        (order("\"amount\":01"), ""),
        (order("\"amount\":NaN"), ""),
        (b"{\"order_id\":1} {\"order_id\":2}".to_vec(), ""),
        (b"\x00\x01\x02".to_vec(), ""),
    ]
}

#[test]
fn garbage_costs_only_itself() {
    let shop = Shop::new();
    let garbage = garbage();
    let mut file = Vec::new();
    let good = |number: usize| format!("{{\"order_id\":{number},\"customer_id\":\"c2\",\"amount\":1}}\n");
    for (number, (bytes, _)) in garbage.iter().enumerate() {
        file.extend_from_slice(good(number).as_bytes());
        file.extend_from_slice(bytes);
        file.push(b'\n');
    }
    file.extend_from_slice(good(garbage.len()).as_bytes());
    shop.write("orders.ndjson", &file);
    let ran = shop.invoke(&["--dead-letters", &shop.file("letters.ndjson")]).ended(0);
    let expected: String = (0..=garbage.len())
        .map(|number| format!("{{\"order_id\":{number},\"customer\":\"GRACE\",\"amount\":1.0}}\n"))
        .collect();
    assert_eq!(ran.stdout, expected);
    let letters = shop.read("letters.ndjson");
    let letters: Vec<Value> = letters.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(letters.len(), garbage.len());
    for (number, (letter, (bytes, words))) in letters.iter().zip(&garbage).enumerate() {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
        let error = letter["error"].as_str().unwrap_or_default();
        assert!(!error.is_empty() && error.len() < 1000 && error.contains(words), "{start}: {error}");
        assert_eq!((&letter["offset"], &letter["stage"]), (&(2 * number + 1).into(), &"decode".into()), "{start}");
        if let Ok(text) = std::str::from_utf8(bytes) {
            assert!(letter["value"] == text, "{start}: the value is not as it was");
        } else {
            assert!(letter["value_base64"].is_string(), "{start}");
        }
    }
}
