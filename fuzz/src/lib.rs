//! The checks of tests/it/fuzz, which libFuzzer asks of bytes that it makes up: see `make fuzz`.

#[expect(dead_code, unused_imports, reason = "the tests among them are not built here")]
#[path = "../../tests/it"]
mod it {
    pub mod fuzz;
    pub mod joins {
        pub mod engine;
    }
    pub mod model;
    pub mod oracle;
}

pub use it::fuzz;
use it::{joins, model, oracle};
