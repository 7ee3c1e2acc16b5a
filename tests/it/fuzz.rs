//! Checks that hold for any bytes. `make fuzz` lets libFuzzer look for bytes for which they don't; here they are asked of
//! the inputs in testdata/fuzz, whatever was found among them, and of random changes of these.

pub mod decoder;
pub mod engine;
pub mod sql;
pub mod yaml;

#[cfg(test)]
use std::path::Path;

#[cfg(test)]
use proptest::prelude::*;
#[cfg(test)]
use proptest::sample::Index;
#[cfg(test)]
use proptest::test_runner::TestError;

#[cfg(test)]
use crate::oracle::runner;

/// A change of some bytes.
#[cfg(test)]
#[derive(Clone, Debug)]
enum Change {
    Replace(Index, u8),
    Insert(Index, u8),
    Remove(Index, usize),
    Repeat(Index, usize),
    /// What stands at the second place, copied to the first.
    Copy(Index, Index, usize),
}

#[cfg(test)]
fn change() -> impl Strategy<Value = Change> {
    let (at, length) = (any::<Index>, || 1..12_usize);
    let byte = || prop_oneof![3 => proptest::sample::select(b" \n:,.(){}[]'\"`\\$*=<>-+019aeNn_\0\xff".to_vec()), 1 => any::<u8>()];
    prop_oneof![
        (at(), byte()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (at(), byte()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        (at(), length()).prop_map(|(at, length)| Change::Remove(at, length)),
        (at(), length()).prop_map(|(at, length)| Change::Repeat(at, length)),
        (at(), at(), length()).prop_map(|(at, from, length)| Change::Copy(at, from, length)),
    ]
}

#[cfg(test)]
impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: &Index| at.index(bytes.len() + 1);
        let until = |from: usize, length: usize| (from + length).min(bytes.len());
        match self {
            Change::Replace(at, byte) => {
                if let Some(old) = (place(at) < bytes.len()).then(|| place(at)) {
                    bytes[old] = *byte;
                }
            }
            Change::Insert(at, byte) => bytes.insert(place(at), *byte),
            Change::Remove(at, length) => drop(bytes.drain(place(at)..until(place(at), *length))),
            Change::Repeat(at, length) => {
                let from = place(at);
                let copied = bytes[from..until(from, *length)].to_vec();
                bytes.splice(from..from, copied);
            }
            Change::Copy(at, from, length) => {
                let (at, from) = (place(at), place(from));
                let copied = bytes[from..until(from, *length)].to_vec();
                bytes.splice(at..at, copied);
            }
        }
    }
}

/// Asks a check of every input of `testdata/fuzz/<name>`, and of `cases` changes of them.
#[cfg(test)]
fn replay(name: &str, cases: u32, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/fuzz").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = files.map(|file| file.expect("an entry").path()).collect();
    paths.sort();
    let inputs: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("a file of the corpus")).collect();
    assert!(inputs.len() >= 5, "{}: only {} inputs", folder.display(), inputs.len());
    for (path, input) in paths.iter().zip(&inputs) {
        println!("{}", path.display());
        check(input);
    }
    let changed = (any::<Index>(), proptest::collection::vec(change(), 1..8)).prop_map(move |(input, changes)| {
        let mut bytes = inputs[input.index(inputs.len())].clone();
        changes.iter().for_each(|change| change.apply(&mut bytes));
        bytes
    });
    let held = runner(cases).run(&changed, |bytes| {
        check(&bytes);
        Ok(())
    });
    if let Err(TestError::Fail(why, bytes)) = held {
        panic!("{why}\n{}", bytes.escape_ascii());
    }
}

#[test]
fn the_decoder_takes_any_bytes() {
    replay("decoder", 4_000, decoder::check);
}

#[test]
fn files_are_any_text() {
    replay("yaml", 1_500, yaml::check);
}

#[test]
fn queries_are_any_text() {
    replay("sql", 600, sql::check);
}

#[test]
fn any_history_is_the_model_s() {
    replay("engine", 400, engine::check);
}
