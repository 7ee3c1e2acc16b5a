#!/usr/bin/env python3
"""Asks DuckDB many queries, each of many small histories at once: SEMANTICS 7, the yardstick.

    scripts/oracle_histories.py FOLDER

FOLDER/queries.json is a list of queries, in DuckDB's SQL. Query number q is asked of the rows with this number in column
`q`, and writes its answer to FOLDER/answer-<q>.ndjson. The tables, of which each row says its history in column `h`:

    d.csv s.csv t.csv       event tables:  q h id a b time    (time in ms)
    users.csv teams.csv     dimensions:    q h place identity gone id key level team

Of a dimension each history sees the last row of each identity, unless this says that it is gone.
"""

import json
import sys
from pathlib import Path

import oracle  # enters the virtual environment
import duckdb

EVENTS = {name: "q BIGINT, h BIGINT, id BIGINT, a BIGINT, b BIGINT, time BIGINT" for name in ("d", "s", "t")}
DIMENSIONS = {
    name: "q BIGINT, h BIGINT, place BIGINT, identity BIGINT, gone BOOLEAN, id BIGINT, key BIGINT, level BIGINT, team BIGINT"
    for name in ("users", "teams")
}


def main():
    if len(sys.argv) != 2:
        sys.exit("oracle_histories.py: expected the folder, and nothing else.")
    folder = Path(sys.argv[1])
    database = duckdb.connect()
    for name, columns in (EVENTS | DIMENSIONS).items():
        database.execute(f"CREATE TABLE all_{name} ({columns})")
        file = oracle.quoted_text(str(folder / f"{name}.csv"))
        database.execute(f"COPY all_{name} FROM {file} (HEADER, NULLSTR '')")
    for number, query in enumerate(json.loads((folder / "queries.json").read_text(encoding="utf-8"))):
        answer(database, number, query, folder / f"answer-{number}.ndjson")


def answer(database, number, query, path):
    """Asks one query of its histories."""
    for name in EVENTS:
        database.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM all_{name} WHERE q = {number}")
    for name in DIMENSIONS:
        last = "QUALIFY row_number() OVER (PARTITION BY h, identity ORDER BY place DESC) = 1"
        current = f"SELECT * FROM (FROM all_{name} WHERE q = {number} {last}) WHERE NOT gone"
        database.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {current}")
    database.execute(f"COPY ({query}) TO {oracle.quoted_text(str(path))} (FORMAT json)")


if __name__ == "__main__":
    main()
