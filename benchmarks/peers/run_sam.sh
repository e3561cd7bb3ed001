#!/usr/bin/env bash
# Makes the pinned virtual environment (once) and runs a contest of promptable models:
#   ./run_sam.sh sam2_image [OPTIONS]        ./run_sam.sh efficientvit_sam [OPTIONS]
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
venv="$here/.venv"
contest="${1:-}"

case "$contest" in
    sam2_image | efficientvit_sam) shift ;;
    *)
        echo "usage: $0 sam2_image|efficientvit_sam [OPTIONS]; --help after the name lists them" >&2
        exit 2
        ;;
esac

if ! cmp -s "$here/requirements.txt" "$venv/requirements.installed"; then
    "${PYTHON:-python3}" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/requirements.installed"
fi
if ! cmp -s "$here/requirements-sam.txt" "$venv/requirements-sam.installed"; then
    "$venv/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps -r "$here/requirements-sam.txt"
    cp "$here/requirements-sam.txt" "$venv/requirements-sam.installed"
fi

exec "$venv/bin/python" "$here/$contest.py" "$@"
