#!/usr/bin/env bash
# Measures maskline on this machine with `maskline bench` and writes benchmarks/RESULTS.md, from which the README has its figures. Take a
# quiet machine: about half an hour, with other programs an hour and a half.
# With PEER_PYTHON (a Python that has torch, transformers and onnxruntime), other programs are measured from there; with PEERS=1, from
# environments that maskline makes (5 GB); else they are left out. YOLOV8N names checkpoint and, after a comma, export
# (benchmarks/peers/README.md) of YOLOv8n with real weights, PHOTOS the pictures for them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

MASKLINE_COMMIT="$(git describe --always --dirty --abbrev=12)"
export MASKLINE_COMMIT
cargo build --profile dist --package maskline-cli
maskline="${CARGO_TARGET_DIR:-target}/dist/maskline"
reports="$(mktemp -d)"
trap 'rm -rf "$reports"' EXIT

# Measures, and leaves the Markdown of the report as a part of the results.
measure() {
    local name="$1"
    shift
    echo "$name: maskline bench $*" >&2
    "$maskline" bench "$@" --format md >"$reports/$name.md"
}

# What the build left to write to the disk is written before anything is timed.
sync
sleep 10
"$maskline" bench --self-test >"$reports/self-test.txt" || {
    cat "$reports/self-test.txt" >&2
    exit 1
}

against=() ultralytics=() python=()
if [ -n "${PEER_PYTHON:-}" ]; then
    python=(--peer-python "$PEER_PYTHON")
fi
if [ -n "${PEER_PYTHON:-}${PEERS:-}" ]; then
    against=(--against "pytorch,onnxruntime-python" "${python[@]}")
    ultralytics=(--against ultralytics "${python[@]}")
fi

measure carried nano --time 12 --embedding miss,hit,held
measure detector yolov8n --synthetic --time 15 --sweep provider=cpu,openvino "${against[@]}"
measure segmenter sam2.1-tiny --synthetic --time 60 "${against[@]}"
parts=(carried detector)
if [ -n "${YOLOV8N:-}" ]; then
    # The README's detectors.
    measure photographs "$YOLOV8N" --images "${PHOTOS:?PHOTOS: the pictures for YOLOV8N}" --time 30 "${ultralytics[@]}"
    parts+=(photographs)
fi
# The README's promptable model.
measure boxes sam2.1-tiny --synthetic --cold 0 --time 60 --kind box --prompts 47 --embedding miss,held "${against[@]}"
measure click sam2.1-tiny --synthetic --cold 0 --no-ceiling --time 15 --embedding held "${against[@]}"
measure prompts mobile-sam,efficientvit-sam-l0 --synthetic --cold 0 --time 12 --embedding held --kind box --sweep prompts=1,8,47
measure loads nano --cold 0 --no-ceiling --time 12 --embedding held --concurrency 1,2,4 --rate 10,20,40
# Many callers: clicks on one picture, and pictures of a detector.
measure callers sam2.1-tiny --synthetic --cold 0 --no-ceiling --time 15 --embedding held --concurrency 1,2,8
measure crowd yolov8n --synthetic --cold 0 --no-ceiling --time 15 --concurrency 1,2,8
# Words: a picture with the phrases known, and what more phrases cost, known or not.
measure words owlv2-base --synthetic --time 120 --embedding miss --text-cache hit "${against[@]}"
measure phrases owlv2-base --synthetic --cold 0 --no-ceiling --time 30 --sweep text=1,20,100 --embedding held --text-cache hit,miss
# Objects through a video.
track=()
if [ -n "${PEER_PYTHON:-}${PEERS:-}" ]; then
    track=(--against-transformers "${python[@]}")
fi
echo "track: maskline bench track sam2.1-tiny" >&2
{
    echo "# SAM 2.1-tiny through a video"
    echo
    "$maskline" bench track sam2.1-tiny --synthetic "${track[@]}" --format md
} >"$reports/track.md"
parts+=(segmenter boxes click prompts loads callers crowd words phrases track)

{
    echo "# Results"
    echo
    echo "Measured by \`benchmarks/results.sh\` at commit $MASKLINE_COMMIT. [docs/bench.md](../docs/bench.md) says what each figure means, and"
    echo "by what rules. Weights other than nano's are generated: speed is real, answers mean nothing, and equality with other programs was checked."
    echo "With generated weights YOLOv8 sees objects everywhere, which makes programs that suppress boxes slowly look slower than they are:"
    echo "the README has figures with real weights."
    echo
    echo "## The benchmark itself"
    echo
    echo '```text'
    cat "$reports/self-test.txt"
    echo '```'
    for part in "${parts[@]}"; do
        echo
        # Below our own title.
        sed -e 's/^#/##/' "$reports/$part.md"
    done
} >"$reports/RESULTS.md"
# Paths of this machine are nobody's business.
sed -e "s#${PEER_PYTHON:-/nowhere}#\$PEER_PYTHON#g" -e "s#${YOLOV8N:-/nowhere}#\$YOLOV8N#g" -e "s#${PHOTOS:-/nowhere}#\$PHOTOS#g" \
    "$reports/RESULTS.md" >benchmarks/RESULTS.md
echo "written: benchmarks/RESULTS.md" >&2
