#!/bin/sh
# Compiles the engine's crates so that libFuzzer sees which ways a run took; all others as they are, so that they are
# not built again.
crate=
for argument in "$@"; do
    [ "$previous" = --crate-name ] && crate=$argument
    previous=$argument
done
case $crate in
    kaflowsql | kaflowsql_fuzz)
        exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
            -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
            -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1
        ;;
esac
exec "$@"
