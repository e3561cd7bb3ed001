#!/usr/bin/env bash
# Runs a script of this folder in its own virtual environment, which is made on first use (5 GB): python.sh SCRIPT [ARGUMENTS]
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
script="${1:?usage: $0 SCRIPT [ARGUMENTS]}"
shift
venv="$here/.venv"
lists=("$here/../../crates/maskline-bench/peers/requirements-torch.txt" "$here/requirements.txt")

if ! cat "${lists[@]}" | cmp -s - "$venv/requirements.installed"; then
    "${PYTHON:-python3}" -m venv --clear "$venv"
    for list in "${lists[@]}"; do
        "$venv/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps -r "$list"
    done
    cat "${lists[@]}" >"$venv/requirements.installed"
fi

exec "$venv/bin/python" "$here/$script" "$@"
