#!/usr/bin/env python3
"""Prints what `cargo bench` measured last, beside the figures recorded for this machine; --save records these.

Absolute times only say which machine it was, so `benches/baseline.json` keeps one set a machine: the processor's name
and its number of cores.
"""

import argparse
import json
import os
import platform
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASELINE = ROOT / "benches" / "baseline.json"
NOTABLE = 0.05


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="record these figures as this machine's")
    arguments = parser.parse_args()

    measured = last_figures(Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "criterion")
    if not measured:
        sys.exit("bench.py: nothing was measured; run `cargo bench` first.")
    machines = json.loads(BASELINE.read_text(encoding="utf-8")) if BASELINE.exists() else {}
    recorded = machines.get(machine(), {})
    print(f"{machine()}: {'beside the recorded figures' if recorded else 'nothing is recorded yet'}")
    width = max(map(len, measured))
    for name, figure in measured.items():
        print(f"{name:<{width}}  {line(figure, recorded.get(name))}")
    if arguments.save:
        machines[machine()] = recorded | measured
        BASELINE.write_text(json.dumps(machines, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        print(f"recorded in {BASELINE.relative_to(ROOT)}")


def last_figures(folder):
    """Median time of one iteration in ns, and elements or bytes of one iteration, by benchmark."""
    figures = {}
    for estimates in sorted(folder.glob("**/new/estimates.json")):
        benchmark = json.loads(estimates.with_name("benchmark.json").read_text(encoding="utf-8"))
        throughput = benchmark.get("throughput") or {}
        figures[benchmark["full_id"]] = {
            "ns": json.loads(estimates.read_text(encoding="utf-8"))["median"]["point_estimate"],
            **{unit.lower(): amount for unit, amount in throughput.items() if unit in ("Elements", "Bytes")},
        }
    return figures


def machine():
    processor = platform.processor()
    try:
        for text in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if text.startswith("model name"):
                processor = text.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return f"{processor or platform.machine()}, {os.cpu_count()} cores"


def line(figure, recorded):
    """One benchmark's figures: time, rate, and how the time compares with the recorded one."""
    columns = [f"{readable(figure['ns']):>10}"]
    seconds = figure["ns"] / 1e9
    rate = ""
    if "elements" in figure:
        rate = f"{figure['elements'] / seconds:,.0f}/s"
    elif "bytes" in figure:
        rate = f"{figure['bytes'] / seconds / 1e6:,.0f} MB/s"
    columns.append(f"{rate:>16}")
    if recorded:
        ratio = figure["ns"] / recorded["ns"]
        mark = "SLOWER" if ratio > 1 + NOTABLE else "faster" if ratio < 1 - NOTABLE else ""
        columns.append(f"{ratio:>6.2f} x {readable(recorded['ns'])} {mark}".rstrip())
    return "  ".join(columns)


def readable(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{ns / size:.2f} {unit}"
    return f"{ns:.1f} ns"


if __name__ == "__main__":
    main()
