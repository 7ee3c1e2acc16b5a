#!/usr/bin/env bash
# Fuzzes: `fuzz.sh [TARGET …]`, each SECONDS_EACH (600) long; all without arguments. Starts from testdata/fuzz and from what
# earlier runs found interesting. What is found lies in fuzz/found; mend it, and keep it in testdata/fuzz, which the tests
# replay.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

target=$(cargo metadata --manifest-path ../Cargo.toml --format-version 1 --no-deps --offline \
    | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
# The versions of the engine's own lock file: what is built for the tests is used as it is.
cp ../Cargo.lock Cargo.lock
RUSTC_WRAPPER=$PWD/instrument.sh cargo build --target-dir "$target"
[ $# -gt 0 ] || set -- decoder yaml sql engine
for name in "$@"; do
    corpus=$target/fuzz/$name
    mkdir -p "$corpus" found
    options=(-max_total_time="${SECONDS_EACH:-600}" -max_len=2000 -timeout=20 -rss_limit_mb=3000)
    [ ! -e "../testdata/fuzz/$name.dict" ] || options+=(-dict="../testdata/fuzz/$name.dict")
    nice -n 10 "$target/debug/fuzz-$name" "${options[@]}" -artifact_prefix="found/$name-" "$corpus" "../testdata/fuzz/$name"
done
