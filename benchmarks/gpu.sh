#!/usr/bin/env bash
# Measures maskline on a machine with an NVIDIA GPU, beside PyTorch (f16, compiled, channels last), in at most ten minutes; every step has a
# limit of its own, so that one that hangs costs little. Nothing is fetched.
#
#   MASKLINE   the binary                                    [default: ~/m/maskline, else target/release/maskline]
#   RUNTIME    folder of the GPU build of ONNX Runtime       [default: ~/m/ort, else maskline's own]
#   PROVIDER   cuda or tensorrt                              [default: cuda; `cpu` tries the script itself]
#   CASES      folder of golden cases to verify              [default: what lies in the repository]
#   OUT        where reports go                              [default: a new folder]
#   QUICK=1    two seconds a measurement, the smallest models only
#
# The last thing that it prints is a table, which also is $OUT/table.md: commit it as benchmarks/gpu/<card>-<date>.md.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

first() {
    for candidate in "$@"; do
        [ -e "$candidate" ] && echo "$candidate" && return
    done
}

maskline="${MASKLINE:-$(first "$HOME/m/maskline" target/release/maskline target/debug/maskline)}"
runtime="${RUNTIME:-$(first "$HOME/m/ort")}"
provider="${PROVIDER:-cuda}"
out="${OUT:-$(mktemp -d)}"
seconds=6
[ -n "${QUICK:-}" ] && seconds=2
[ -n "$maskline" ] || { echo "no maskline: build it first (cargo build --release -p maskline-cli), or name it in MASKLINE" >&2; exit 1; }
mkdir -p "$out"
export MASKLINE_HOME="$out/home" MASKLINE_OFFLINE=1
options=()
if [ -n "$runtime" ]; then
    options=(--runtime "$runtime")
    export MASKLINE_ONNXRUNTIME="$runtime"
else
    # Only the models that are built go to the new folder.
    unset MASKLINE_HOME
fi

# CUDA's libraries as PyTorch's packages have them.
if command -v python3 >/dev/null; then
    folders=$(python3 - <<'P' 2>/dev/null
import glob, os, sysconfig
roots = {sysconfig.get_paths()[name] for name in ("purelib", "platlib")}
try:
    import torch
    roots.add(os.path.dirname(os.path.dirname(torch.__file__)))
except ImportError:
    pass
print(":".join(sorted(path for root in roots for path in glob.glob(f"{root}/nvidia/*/lib"))))
P
    )
    export LD_LIBRARY_PATH="${folders:-}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi

card() {
    command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.max.sm,temperature.gpu,clocks_throttle_reasons.active --format=csv,noheader
}

# step NAME LIMIT COMMAND...: its output is kept; that it failed is said, and is no end.
step() {
    local name="$1" limit="$2" code=0
    shift 2
    local began=$SECONDS
    timeout "$limit" "$@" >"$out/$name.txt" 2>"$out/$name.log" || code=$?
    echo "$name: exit code $code after $((SECONDS - began)) s"
    [ $code -eq 0 ] || tail -n 5 "$out/$name.log" | sed 's/^/    /'
    return $code
}

{ card || echo "no NVIDIA GPU"; } | tee "$out/card-before.txt"
"$maskline" version
step doctor 30 "$maskline" doctor
grep -E '^(runtime providers|cuda|tensorrt) ' "$out/doctor.txt" || true

# That it really runs there, and what it answers.
step runs 60 "$maskline" run examples/still-life.jpg --box 368,282,553,468 --provider "$provider" "${options[@]}" --json -o "$out/run" || {
    [ "$provider" = cpu ] || echo "$provider does not run: what follows will fail as well"
}
mapfile -t cases < <(find "${CASES:-crates/maskline/tests/cases}" -name case.json -printf '%h\n' | sort)
step verify-f32 90 "$maskline" verify "${cases[@]}" --provider "$provider" "${options[@]}"
step verify-f16 90 "$maskline" verify "${cases[@]}" --provider "$provider" --precision f16 "${options[@]}"

# bench NAME LIMIT ARGUMENTS...
bench() {
    local name="$1" limit="$2"
    shift 2
    step "$name" "$limit" "$maskline" bench "$@" --synthetic --provider "$provider" --cold 0 --time "$seconds" "${options[@]}" --format json
}

models=(sam2.1-tiny efficientvit-sam-l0 yolov8n owlv2-base sam3)
[ -n "${QUICK:-}" ] && models=(yolov8n mobile-sam)
for model in "${models[@]}"; do
    limit=60
    for precision in f32 f16; do
        case "$model" in
            yolov8n) bench "$model-$precision" $limit "$model" --precision $precision --sweep batch=1,32 ;;
            sam2.1-tiny | efficientvit-sam-l0 | mobile-sam)
                bench "$model-$precision" $limit "$model" --precision $precision --kind box --prompts 47 --embedding miss,held
                [ "$model" = sam2.1-tiny ] && bench "$model-click-$precision" $limit "$model" --precision $precision --embedding held
                ;;
            *) bench "$model-$precision" $limit "$model" --precision $precision --embedding miss ;;
        esac
    done
done
# Sixteen callers with pictures of their own: what one card does in a second.
[ -n "${QUICK:-}" ] || bench callers 60 sam2.1-tiny --precision f16 --embedding miss --concurrency 16

peers=(--seconds "$seconds")
[ "$provider" = cpu ] && peers+=(--device cpu --no-compile)
[ -n "${QUICK:-}" ] || step pytorch 180 python3 benchmarks/peers/torch_gpu.py "${peers[@]}"
{ card || true; } >"$out/card-after.txt"

python3 benchmarks/gpu_table.py "$out" | tee "$out/table.md"
