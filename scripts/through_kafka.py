#!/usr/bin/env python3
"""Runs a pipeline over files through a real Kafka: a broker of its own, `kaflowsql run`, and the Java client as reader.

    scripts/through_kafka.py PIPELINE --input topic=FILE … --output OUT.ndjson [--partitions 4] [--binary kaflowsql]

Prints what the run reports about itself, its peak memory, and writes the values of the output
topic, one a line.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

KAFKA = str(pathlib.Path(__file__).resolve().parent / "kafka.sh")
PATIENCE_S = 300


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipeline")
    parser.add_argument("--input", action="append", required=True, metavar="TOPIC=FILE")
    parser.add_argument("--output", required=True)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--binary", default="kaflowsql")
    arguments = parser.parse_args()
    inputs = [pair.split("=", 1) for pair in arguments.input]
    with tempfile.TemporaryDirectory(prefix="kaflowsql-year-") as folder:
        broker_dir = f"{folder}/kafka"
        started = subprocess.run([KAFKA, "start", broker_dir], check=True, capture_output=True, text=True).stdout
        broker = started.strip().removeprefix("broker=")
        try:
            run(arguments, inputs, pathlib.Path(folder), broker)
        finally:
            subprocess.run([KAFKA, "stop", broker_dir], check=True)


def run(arguments, inputs, folder, broker):
    for topic, file in inputs:
        subprocess.run([KAFKA, "write", broker, topic, file, str(arguments.partitions)], check=True)
    records = {topic: count_lines(file) for topic, file in inputs}
    config = folder / "config.yaml"
    config.write_text(f'kafka: {{brokers: ["{broker}"]}}\nhttp: {{listen: "127.0.0.1:0"}}\n')
    log = folder / "log"
    with open(log, "wb") as stderr:
        command = [arguments.binary, "run", "-c", str(config), arguments.pipeline]
        process = subprocess.Popen(command, stderr=stderr)
    peak = wait(process, log, records)
    process.terminate()
    if process.wait(timeout=60) != 0:
        sys.exit(f"through_kafka.py: the run failed\n{log.read_text()}")
    summary = [line for line in log.read_text().splitlines() if "events in" in line]
    print("\n".join(summary), f"\npeak memory {peak} kB")
    read(broker, output_topic(arguments.pipeline), arguments.output)


def count_lines(file):
    with open(file, "rb") as lines:
        return sum(1 for _ in lines)


def wait(process, log, records):
    """Until all records of all topics are processed; returns the peak of resident memory in kB."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if process.poll() is not None:
            sys.exit(f"through_kafka.py: the run ended by itself\n{log.read_text()}")
        found = re.search(r"on (http://127\.0\.0\.1:\d+)", log.read_text())
        if found:
            page = urllib.request.urlopen(f"{found[1]}/metrics").read().decode()
            line = r'^kaflowsql_events_processed_total{.*topic="(.*)"} (\d+)$'
            processed = {topic: int(count) for topic, count in re.findall(line, page, re.MULTILINE)}
            if all(processed.get(topic, 0) >= count for topic, count in records.items()):
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
                return re.search(r"VmHWM:\s+(\d+)", status)[1]
        time.sleep(0.05)
    process.kill()
    sys.exit(f"through_kafka.py: not done after {PATIENCE_S} s\n{log.read_text()}")


def output_topic(pipeline):
    text = pathlib.Path(pipeline).read_text()
    return re.search(r"^output:\s*\n(?:\s+.*\n)*?\s+topic:\s*(\S+)", text, re.MULTILINE)[1]


def read(broker, topic, output):
    reader = subprocess.Popen([KAFKA, "read", broker, topic], stdout=subprocess.PIPE)
    with open(output, "wb") as out:
        for line in reader.stdout:
            out.write(bytes.fromhex(json.loads(line)["value"]) + b"\n")
    if reader.wait() != 0:
        sys.exit("through_kafka.py: the output could not be read")


if __name__ == "__main__":
    main()
