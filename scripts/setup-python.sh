#!/usr/bin/env bash
# Makes the virtual environment of the scripts (DuckDB, the outside judge), or leaves it alone where it is current.
# `setup-python.sh --where` prints its folder and makes nothing.
set -euo pipefail
cd "$(dirname "$0")"

venv=${XDG_CACHE_HOME:-$HOME/.cache}/kaflowsql/venv
if [ "${1:-}" = --where ]; then
    echo "$venv"
    exit
fi
if [ -x "$venv/bin/python" ] && cmp -s requirements.txt "$venv/requirements.txt"; then
    exit
fi
echo "setup: making $venv" >&2
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement requirements.txt >&2 || {
    echo "setup: pip could not install scripts/requirements.txt into $venv; its message is above." >&2
    exit 1
}
# Last, so that an interrupted run is seen and done again.
cp requirements.txt "$venv/requirements.txt"
