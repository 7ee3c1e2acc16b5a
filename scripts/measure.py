#!/usr/bin/env python3
"""Runs a command and prints to stderr what it took: wall seconds, CPU seconds, peak memory; and rows a second, if told
how many rows it works through. Exits as the command does.

    scripts/measure.py --rows 336776 kaflowsql invoke …
"""

import argparse
import resource
import subprocess
import sys
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()

    started = time.monotonic()
    code = subprocess.run(arguments.command).returncode
    seconds = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = [f"{seconds:.2f} s", f"{used.ru_utime + used.ru_stime:.2f} CPU s", f"peak {used.ru_maxrss / 1024:.0f} MiB"]
    if arguments.rows:
        figures.append(f"{arguments.rows / seconds:,.0f} rows/s")
    print("measured:", ", ".join(figures), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
