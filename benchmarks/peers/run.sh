#!/usr/bin/env bash
# Makes the pinned virtual environment (once), builds maskline, and measures YOLOv8n against its peers.
# Arguments go to yolov8.py: ./run.sh --help
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
venv="$here/.venv"
stamp="$venv/requirements.installed"

if ! cmp -s "$here/requirements.txt" "$stamp"; then
    "${PYTHON:-python3}" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$stamp"
fi

case " $* " in
    *" --maskline "* | *" --maskline="* | *" --skip maskline "* | *" --skip=maskline "* | *" --help "* | *" -h "*) ;;
    *) cargo build --manifest-path "$root/Cargo.toml" --profile dist --package maskline-cli ;;
esac

exec "$venv/bin/python" "$here/yolov8.py" "$@"
