//! What records are made of: the same in every run and on every machine.

/// A source of numbers that look random: SplitMix64.
pub struct Numbers(pub u64);

impl Numbers {
    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// The next one below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// An event: a JSON object of 10 fields in 240 bytes or a few more or less.
pub fn event(number: u64, user: u64, numbers: &mut Numbers) -> String {
    let (cents, quantity) = (numbers.below(100_000), numbers.below(9) + 1);
    let (latitude, session) = (numbers.below(90_000_000), numbers.next());
    let merchant = numbers.below(50_000);
    let currency = ["EUR", "USD", "GBP", "JPY"][numbers.below(4) as usize];
    let channel = ["web", "mobile", "partner"][numbers.below(3) as usize];
    let (minute, milliseconds) = (number / 60 % 60, number % 1000);
    let second = number % 60;
    format!(
        r#"{{"event_id":"e-{number:012}","user_id":"user-{user}","merchant_id":"merchant-{merchant}","amount":{}.{:02},"currency":"{currency}","quantity":{quantity},"created_at":"2025-03-14T15:{minute:02}:{second:02}.{milliseconds:03}Z","channel":"{channel}","latitude":{}.{:06},"session":"{session:016x}"}}"#,
        cents / 100,
        cents % 100,
        latitude / 1_000_000,
        latitude % 1_000_000,
    )
}
