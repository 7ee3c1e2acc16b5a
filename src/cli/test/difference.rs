//! How a list of rows becomes another one.

use crate::config::TestValue;

/// Beyond so many pairs of rows they are compared place by place.
const PAIRS_MAX: usize = 4_000_000;

/// A step from what was expected to what came out; numbers are places in the two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// As expected.
    Same(usize, usize),
    /// Another row came out instead.
    Changed(usize, usize),
    /// A row did not come out.
    Missing(usize),
    /// A row came out that was not expected.
    Unexpected(usize),
}

/// Whether nothing differs.
pub(super) fn matches(changes: &[Change]) -> bool {
    changes.iter().all(|change| matches!(change, Change::Same(..)))
}

/// The changes, in order: as many rows as possible stay the same (the longest common subsequence).
pub(super) fn difference(
    expected: &[&TestValue],
    actual: &[TestValue],
    same: &dyn Fn(&TestValue, &TestValue) -> bool,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut from = (0, 0);
    for (place, came) in common(expected, actual, same).into_iter().chain([(expected.len(), actual.len())]) {
        between(from, (place, came), &mut changes);
        if place < expected.len() {
            changes.push(Change::Same(place, came));
        }
        from = (place + 1, came + 1);
    }
    changes
}

/// Rows between two that are the same: pairs, and then what is left over on one side.
fn between(from: (usize, usize), to: (usize, usize), changes: &mut Vec<Change>) {
    let (missing, unexpected) = (to.0 - from.0, to.1 - from.1);
    let pairs = missing.min(unexpected);
    changes.extend((0..pairs).map(|pair| Change::Changed(from.0 + pair, from.1 + pair)));
    changes.extend((from.0 + pairs..to.0).map(Change::Missing));
    changes.extend((from.1 + pairs..to.1).map(Change::Unexpected));
}

fn common(
    expected: &[&TestValue],
    actual: &[TestValue],
    same: &dyn Fn(&TestValue, &TestValue) -> bool,
) -> Vec<(usize, usize)> {
    let (rows, columns) = (expected.len(), actual.len());
    if rows.saturating_mul(columns) > PAIRS_MAX {
        return (0..rows.min(columns)).filter(|&at| same(expected[at], &actual[at])).map(|at| (at, at)).collect();
    }
    // longest[i][j]: how many rows of expected[i..] and actual[j..] can stay the same.
    let mut longest = vec![vec![0_u32; columns + 1]; rows + 1];
    for i in (0..rows).rev() {
        for j in (0..columns).rev() {
            longest[i][j] = match same(expected[i], &actual[j]) {
                true => longest[i + 1][j + 1] + 1,
                false => longest[i + 1][j].max(longest[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < rows && j < columns {
        if same(expected[i], &actual[j]) {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if longest[i + 1][j] >= longest[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// What differs between two rows, a sentence a column.
pub(super) fn columns(expected: &TestValue, actual: &TestValue) -> Vec<String> {
    let (Some(wanted), Some(came)) = (expected.fields(), actual.fields()) else { return Vec::new() };
    let mut found = Vec::new();
    for (name, value) in wanted {
        match actual.field(name) {
            Some(other) if other == value => {}
            Some(other) => found.push(format!("`{name}`: expected {}, came {}", value.to_json(), other.to_json())),
            None => found.push(format!("`{name}`: expected {}, and there is no such column", value.to_json())),
        }
    }
    let left_out = came.iter().filter(|(name, _)| expected.field(name).is_none());
    found.extend(left_out.map(|(name, value)| format!("`{name}`: not in the expected row, came {}", value.to_json())));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(expected: &str, actual: &str) -> Vec<Change> {
        let values = |text: &str| text.chars().map(|letter| TestValue::Text(letter.to_string())).collect::<Vec<_>>();
        let (expected, actual) = (values(expected), values(actual));
        difference(&expected.iter().collect::<Vec<_>>(), &actual, &|one, other| one == other)
    }

    #[test]
    fn as_much_as_possible_stays_the_same() {
        use Change::{Changed, Missing, Same, Unexpected};
        assert!(matches(&changes("", "")) && matches(&changes("ab", "ab")));
        assert_eq!(changes("abc", "ac"), [Same(0, 0), Missing(1), Same(2, 1)]);
        assert_eq!(changes("ac", "abc"), [Same(0, 0), Unexpected(1), Same(1, 2)]);
        assert_eq!(changes("axc", "ayzc"), [Same(0, 0), Changed(1, 1), Unexpected(2), Same(2, 3)]);
        assert_eq!(changes("ab", "ba").len(), 3, "one stays, one goes, one comes");
        assert_eq!(changes("", "a"), [Unexpected(0)]);
        assert_eq!(changes("a", ""), [Missing(0)]);
    }

    #[test]
    fn columns_that_differ_are_named() {
        let value = |text: &str| TestValue::from_json(text.as_bytes()).expect("JSON");
        let (wanted, came) = (value(r#"{"a":1,"b":2,"x":3}"#), value(r#"{"a":1.0,"b":null,"c":4}"#));
        assert_eq!(
            columns(&wanted, &came),
            [
                "`b`: expected 2, came null",
                "`x`: expected 3, and there is no such column",
                "`c`: not in the expected row, came 4"
            ]
        );
    }
}
