#!/usr/bin/env python3
"""Compares two files of JSON lines as multisets of rows: order does not count, how often a row comes does.

Equal are: numbers of one value (5 and 5.0), or within 1e-12 of each other, relative, where one of them has a
fraction or an exponent; instants of one value (fractions with and without closing zeros, Z and +00:00); objects whose
fields come in another order. An absent field is not a null. Prints the counts and the first rows that differ; exits 1
if any does, and if there is nothing to compare.

    scripts/compare.py EXPECTED.ndjson ACTUAL.ndjson [--also SUPERSEDED.ndjson]

Rows of SUPERSEDED may come too, each as often as it stands there: under LEFT, what came before there was a match.
"""

import argparse
import hashlib
import json
import re
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

TOLERANCE = Decimal("1e-12")
INSTANT = re.compile(r'(?<!\\)"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(?:Z|[+-]00:00)"')
SHOWN = 5


def canonical_instant(found):
    fraction = (found[2] or "").rstrip("0").rstrip(".")
    return f'"{found[1]}{fraction}Z"'


def canonical_number(text):
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else number.normalize()


def as_object(pairs):
    """A JSON object; two fields of one name would hide each other."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field comes twice in one object")
    return fields


DECODER = json.JSONDecoder(parse_float=canonical_number, object_pairs_hook=as_object)
ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=lambda number: {"fraction": str(number)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("expected", type=Path)
    parser.add_argument("actual", type=Path)
    parser.add_argument("--also", type=Path, metavar="SUPERSEDED", help="rows that may come too")
    arguments = parser.parse_args()

    expected, actual = digests(arguments.expected), digests(arguments.actual)
    if not expected and not actual:
        print("DIFFERENT: both files are empty, so nothing was compared")
        return 1
    totals = f"{expected.total()} rows expected, {actual.total()} actual"
    missing = unmatched(arguments.expected, expected - actual)
    surplus = unmatched(arguments.actual, actual - expected)
    missing, surplus = pair_off(missing, surplus)
    if arguments.also and surplus:
        allowed = [(number, row) for number, row in rows(arguments.also)]
        came = len(surplus)
        _, surplus = pair_off(allowed, surplus)
        totals += f", {came - len(surplus)} of them superseded"
    if not missing and not surplus:
        print(f"equal: {totals}")
        return 0
    print(f"DIFFERENT: {totals}; {len(missing)} missing, {len(surplus)} not expected")
    show("missing", arguments.expected, missing)
    show("not expected", arguments.actual, surplus)
    return 1


def digests(path):
    """How often each row comes, by a hash of its canonical form: so a year of rows fits in little memory."""
    return Counter(digest(row) for _, row in rows(path))


def rows(path):
    """The rows of a file in canonical form, with their line numbers."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield number, DECODER.decode(INSTANT.sub(canonical_instant, line))
                except ValueError as error:
                    sys.exit(f"compare.py: {path}:{number}: {error}")


def digest(row):
    return hashlib.blake2b(written(row).encode(), digest_size=16).digest()


def written(value):
    """A canonical value as text, whatever the order of its fields; numbers keep all their digits."""
    return ENCODER.encode(value)


def unmatched(path, counts):
    """The rows behind `counts`, the surplus of each: as (line, row)."""
    left, found = Counter(counts), []
    if left:
        for number, row in rows(path):
            key = digest(row)
            if left[key] > 0:
                left[key] -= 1
                found.append((number, row))
    return found


def pair_off(missing, surplus):
    """Takes away pairs of rows that differ only within the tolerance."""
    candidates = {}
    for entry in surplus:
        candidates.setdefault(written(without_numbers(entry[1])), []).append(entry)
    left = []
    for number, row in missing:
        group = candidates.get(written(without_numbers(row)), [])
        match = next((place for place, (_, other) in enumerate(group) if close(row, other)), None)
        if match is None:
            left.append((number, row))
        else:
            group.pop(match)
    return left, sorted((entry for group in candidates.values() for entry in group), key=lambda entry: entry[0])


def is_number(value):
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def without_numbers(value):
    if isinstance(value, dict):
        return {name: without_numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [without_numbers(item) for item in value]
    return "number" if is_number(value) else value


def close(left, right):
    """Whether two values of one shape are equal within the tolerance."""
    if isinstance(left, dict):
        return all(close(left[name], right[name]) for name in left)
    if isinstance(left, list):
        return all(map(close, left, right))
    if is_number(left) and (isinstance(left, Decimal) or isinstance(right, Decimal)):
        return abs(left - right) <= TOLERANCE * max(abs(left), abs(right))
    return left == right


def show(what, path, entries):
    for number, row in entries[:SHOWN]:
        print(f"  {what}: {path}:{number}: {json.dumps(row, ensure_ascii=False, default=float)}")
    if len(entries) > SHOWN:
        print(f"  … and {len(entries) - SHOWN} more")


if __name__ == "__main__":
    sys.exit(main())
