#!/usr/bin/env python3
"""Computes with DuckDB, in one batch, what a pipeline must give: SEMANTICS 7, the yardstick.

    scripts/oracle.py pipelines/flights.yaml --input flights=F.ndjson --input airlines=A.ndjson … --output OUT.ndjson

It runs the pipeline's own query over tables with the declared types: an event table has all rows of its file, a
dimension the last row of each identity (1.7). Records that are bad input (1.6, 1.7) are left out, as the engine puts
them with the dead letters. Joins of events with events are narrowed by the tables' times to live (2.3). Under `smart`,
rows without a required column are left out, unless those that expire are emitted. So it is the answer where no row is
late and dimensions do not change once loaded, and under LEFT joins of events the rows with which it all ends:
--superseded writes those that may come before them, `(d, NULL)` before `(d, s)` (3.1).
Needs the virtual environment that scripts/setup-python.sh makes, and finds it by itself.
"""

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path


def enter_venv():
    """Runs this script again inside the virtual environment, unless it is there already."""
    setup = Path(__file__).with_name("setup-python.sh")
    venv = Path(subprocess.check_output([setup, "--where"], text=True).strip())
    if Path(sys.prefix).resolve() != venv.resolve():
        subprocess.check_call([setup])
        python = str(venv / "bin" / "python")
        os.execv(python, [python, *sys.argv])


enter_venv()

import duckdb  # noqa: E402: only the virtual environment has it
import yaml  # noqa: E402

# The types of `sources:` in DuckDB's words, with all their names; `decimal(p, s)`, `list<…>` and `struct<…>` are built
# from them. Instants are TIMESTAMP: without an offset, so UTC.
TYPES = {
    name: sql
    for names, sql in {
        "string varchar text": "VARCHAR",
        "boolean bool": "BOOLEAN",
        "int8 tinyint": "TINYINT",
        "int16 smallint": "SMALLINT",
        "int int32 integer": "INTEGER",
        "bigint int64 long": "BIGINT",
        "uint8": "UTINYINT",
        "uint16": "USMALLINT",
        "uint32": "UINTEGER",
        "uint64": "UBIGINT",
        "float float32 real": "FLOAT",
        "double float64": "DOUBLE",
        "date date32": "DATE",
        "timestamp timestamp(ms) timestamp(us)": "TIMESTAMP",
    }.items()
    for name in names.split()
}

# Functions of DataFusion that DuckDB knows by another name.
MACROS = [
    "to_char(moment, pattern) AS strftime(moment, pattern)",
    "array_remove_all(list, element) AS list_filter(list, lambda item: item IS DISTINCT FROM element)",
    "cardinality(list) AS len(list)",
]

MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

RFC_3339 = "%Y-%m-%dT%H:%M:%S.%fZ"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipeline", type=Path)
    parser.add_argument("--input", action="append", required=True, metavar="TOPIC=FILE", help="the records of a topic")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--superseded", type=Path, metavar="FILE", help="the rows that may come before others, LEFT")
    parser.add_argument("--memory", default="2GB", help="DuckDB's limit; it spills to disk beyond (default: 2GB)")
    arguments = parser.parse_args()

    pipeline = yaml.safe_load(arguments.pipeline.read_text(encoding="utf-8"))
    inputs = dict(pair.split("=", 1) for pair in arguments.input)
    database = duckdb.connect(config={"memory_limit": arguments.memory})
    database.execute("SET TimeZone = 'UTC'")
    for macro in MACROS:
        database.execute(f"CREATE MACRO {macro}")
    load_tables(database, pipeline, inputs)
    query = yardstick(database, pipeline)
    write_answer(database, query, arguments.output)
    if arguments.superseded:
        write_answer(database, superseded(database, pipeline, query), arguments.superseded)


def load_tables(database, pipeline, inputs):
    """Makes one DuckDB table of each entry of `sources:`."""
    identities = dimension_keys(pipeline)
    unread = set(inputs)
    for name, source in (pipeline.get("sources") or {}).items():
        topic = source.get("topic", name)
        if topic not in inputs:
            fail(f"no --input for topic '{topic}' of table '{name}'.")
        if not source.get("schema"):
            fail(f"table '{name}' has no schema: types that are inferred may differ from the engine's. Declare one.")
        unread.discard(topic)
        load(database, name, inputs[topic], source, identities.get(name))
    if unread:
        fail(f"--input for {sorted(unread)}, which is the topic of no table under sources.")
    absent = set(identities) - set(pipeline.get("sources") or {})
    if absent:
        fail(f"dimensions {sorted(absent)} are not under sources.")


def dimension_keys(pipeline):
    """The identity columns of each dimension."""
    keys = {}
    for dimension in (pipeline.get("state") or {}).get("dimensions") or []:
        if isinstance(dimension, str) or not dimension.get("key"):
            fail(f"dimension {dimension} declares no key: say {{table: …, key: [columns]}}.")
        keys[dimension["table"]] = dimension["key"]
    return keys


def load(database, name, file, source, key):
    """Reads a file into a table, less the rows that are bad input, and of a dimension the last of each identity."""
    types = {column: sql_type(kind) for column, kind in source["schema"].items()}
    # Instants by way of text and TIMESTAMPTZ: all else overlooks offsets.
    as_read = (f"{quoted_text(c)}: {quoted_text(t.replace('TIMESTAMP', 'VARCHAR'))}" for c, t in types.items())
    as_meant = ", ".join(f"{instants(quoted(column), kind)} AS {quoted(column)}" for column, kind in types.items())
    names = ", ".join(map(quoted, types))
    rows = (
        f"SELECT {as_meant}, row_number() OVER () AS _offset FROM read_json({quoted_text(file)}, "
        f"format = 'newline_delimited', columns = {{{', '.join(as_read)}}}, maximum_object_size = 67108864)"
    )
    # Rows are numbered as they lie in the file.
    database.execute("SET threads = 1")
    database.execute(f"CREATE TEMP TABLE loaded AS {rows}")
    database.execute("RESET threads")
    if key:
        identity = ", ".join(map(quoted, key))
        there = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in key)
        current = f"WHERE {there} QUALIFY row_number() OVER (PARTITION BY {identity} ORDER BY _offset DESC) = 1"
    else:
        time = source.get("event_time")
        current = f"WHERE {quoted(time)} IS NOT NULL" if time else ""
    database.execute(f"CREATE TABLE {quoted(name)} AS SELECT {names} FROM loaded {current}")
    database.execute("DROP TABLE loaded")


def instants(column, kind):
    return f"CAST(CAST({column} AS {kind.replace('TIMESTAMP', 'TIMESTAMPTZ')}) AS {kind})"


def yardstick(database, pipeline, empty=()):
    """The query, its joins of events narrowed to rows that met alive (2.3), less what `smart` never lets out. The event
    tables in `empty` are as if they had no rows."""
    query = narrowed(database, pipeline, empty)
    emission = pipeline.get("emission") or {}
    if emission.get("type") == "smart" and emission.get("on_expire", "drop") != "emit":
        there = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in emission["require"])
        query = f"SELECT * FROM ({query}) WHERE {there}"
    return query


def superseded(database, pipeline, answer):
    """The rows that some of the event tables under LEFT joins are missing from: each may come once, before the others."""
    optional = [name for name, node in joined_events(database, pipeline)[1] if node["join_type"] == "LEFT"]
    if not optional:
        fail("--superseded is for LEFT joins of events with events.")
    subsets = (some for size in range(1, len(optional) + 1) for some in itertools.combinations(optional, size))
    # Rows are numbered among their equals, so that set operations count them.
    numbered = "SELECT *, row_number() OVER (PARTITION BY answer) AS copy FROM ({}) AS answer"
    early = " UNION ".join(numbered.format(yardstick(database, pipeline, some)) for some in subsets)
    return f"SELECT * EXCLUDE copy FROM (({early}) EXCEPT {numbered.format(answer)})"


def joined_events(database, pipeline):
    """The parsed query, and of each event table that it joins the name and the join; the driving table is none."""
    [parsed] = database.execute("SELECT json_serialize_sql(?::VARCHAR)", [pipeline["query"]]).fetchone()
    tree = json.loads(parsed)
    if tree["error"]:
        fail(f"DuckDB can't parse the query: {tree['error_message']}")
    events = set(pipeline["sources"]) - set(dimension_keys(pipeline))
    joins = [node for node in nodes(tree) if node.get("type") == "JOIN" and node["right"].get("table_name") in events]
    return tree, [(node["right"]["table_name"], node) for node in joins]


def narrowed(database, pipeline, empty):
    tree, joins = joined_events(database, pipeline)
    if not joins:
        return pipeline["query"].strip().rstrip(";")
    events = set(pipeline["sources"]) - set(dimension_keys(pipeline))
    [driving] = (n for n in nodes(tree) if n.get("table_name") in events - {name for name, _ in joins})
    for name, node in joins:
        alive = f"{time_of(pipeline, node['right'])} - {time_of(pipeline, driving)} BETWEEN " + " AND ".join(
            f"to_milliseconds({ms})" for ms in (-ttl_ms(pipeline, name), ttl_ms(pipeline, driving["table_name"]))
        )
        condition = "false" if name in empty else alive
        [parsed] = database.execute("SELECT json_serialize_sql(?::VARCHAR)", [f"SELECT 1 WHERE {condition}"]).fetchone()
        if not node["condition"]:
            fail(f"the join of '{name}' is written without ON, and can't be narrowed.")
        both = [node["condition"], json.loads(parsed)["statements"][0]["node"]["where_clause"]]
        node["condition"] = {"class": "CONJUNCTION", "type": "CONJUNCTION_AND", "alias": "", "children": both}
    return database.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(tree)]).fetchone()[0]


def nodes(tree):
    """All objects of a parsed query."""
    if isinstance(tree, dict):
        yield tree
    for below in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from nodes(below)


def time_of(pipeline, table):
    column = pipeline["sources"][table["table_name"]].get("event_time")
    if not column:
        fail(f"table '{table['table_name']}' has no event_time: the times of its records are not in the file.")
    return f"{quoted(table['alias'] or table['table_name'])}.{quoted(column)}"


def ttl_ms(pipeline, table):
    """How long rows of an event table live (4.1)."""
    events = (pipeline.get("state") or {}).get("events") or {}
    written = (events.get("overrides") or {}).get(table) or events.get("default_ttl") or pipeline.get("window") or "1h"
    number, unit = re.fullmatch(r"([\d.]+)\s*([a-z]+)", str(written)).groups()
    return round(float(number) * MILLISECONDS[unit])


def write_answer(database, query, path):
    """Runs the query and writes its rows as JSON lines."""
    database.execute(f"CREATE OR REPLACE TABLE answer AS {query}")
    described = database.execute("DESCRIBE answer").fetchall()
    select = ", ".join(json_column(name, kind) for name, kind, *_ in described)
    database.execute(f"COPY (SELECT {select} FROM answer) TO {quoted_text(str(path))} (FORMAT json)")
    rows = database.execute("SELECT count(*) FROM answer").fetchone()[0]
    print(f"{path}: {rows} rows", file=sys.stderr)


def json_column(name, kind):
    """The column as it is written: instants as RFC 3339."""
    column = quoted(name)
    if kind.startswith("TIMESTAMP"):
        return f"strftime({column}, {quoted_text(RFC_3339)}) AS {column}"
    return column


def sql_type(kind):
    """DuckDB's name of a declared type: `list<struct<a: int, b: decimal(10,2)>>` and all its parts."""
    kind = kind.strip()
    if kind.lower() in TYPES:
        return TYPES[kind.lower()]
    if decimal := re.fullmatch(r"(?:decimal|numeric)\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", kind, re.IGNORECASE):
        return f"DECIMAL({decimal[1]}, {decimal[2] or 0})"
    if inner := re.fullmatch(r"(?:list|array)<(.*)>", kind, re.IGNORECASE):
        return sql_type(inner[1]) + "[]"
    if inner := re.fullmatch(r"struct<(.*)>", kind, re.IGNORECASE):
        fields = (part.split(":", 1) for part in top_level_parts(inner[1]))
        return "STRUCT(" + ", ".join(f"{quoted(name.strip(' `'))} {sql_type(of)}" for name, of in fields) + ")"
    fail(f"type '{kind}' has no counterpart in DuckDB here; expected decimal, list, struct or one of {', '.join(TYPES)}.")


def top_level_parts(text):
    """The parts between the commas that lie in no bracket."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character in "<(") - (character in ">)")
        if character == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def quoted_text(text):
    return "'" + text.replace("'", "''") + "'"


def fail(message):
    sys.exit(f"oracle.py: {message}")


if __name__ == "__main__":
    main()
