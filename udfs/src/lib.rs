//! SQL functions of KaflowSQL that DataFusion lacks: one a file.
//!
//! To add one, copy `mask_email.rs`, give it a `mod` line and a place in `all`. A function gets whole columns and gives
//! one of the same length; it must give the same for the same arguments (`Volatility::Immutable`), NULL for NULL unless
//! its documentation says otherwise, and a value rather than an error for text that it does not understand: an error
//! sends the row to the dead letters.

use std::sync::Arc;

use datafusion_expr::ScalarUDF;

mod mask_email;

pub use mask_email::MaskEmail;

/// Every function, as the planner registers them.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::new(ScalarUDF::new_from_impl(MaskEmail::new()))]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_documented() {
        let functions = all();
        let names: HashSet<&str> = functions.iter().map(|function| function.name()).collect();
        assert_eq!(names.len(), functions.len(), "two functions of one name: the later would hide the earlier");
        for function in &functions {
            let documentation = function.documentation().unwrap_or_else(|| panic!("{} has no doc", function.name()));
            assert!(
                documentation.syntax_example.starts_with(&format!("{}(", function.name())),
                "the syntax example of {} shows another function: {}",
                function.name(),
                documentation.syntax_example
            );
        }
    }
}
