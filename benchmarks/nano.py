"""How long nano takes: medians over many answers of one process. `python3 benchmarks/nano.py target/dist/maskline PHOTO`"""

import argparse
import json
import statistics
import subprocess

REPEAT = 40
# The first answers warm up.
DROPPED = 5


def boxes(width, height, count):
    """Boxes of a third of the picture, spread over it."""
    steps = [i / max(count - 1, 1) for i in range(count)]
    return [[round(v) for v in (s * width * 0.6, (1 - s) * height * 0.6, s * width * 0.6 + width / 3, (1 - s) * height * 0.6 + height / 3)] for s in steps]


def measure(binary, photo, prompts):
    """Milliseconds by stage: the median of each, and of the sum without decoding the file."""
    command = [binary, "run", "nano", photo, "--json", "--repeat", str(REPEAT), "--embedding-cache", "0", *prompts]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    timings = [json.loads(line)["timings_ms"] for line in lines][DROPPED:]
    for row in timings:
        row["without decode"] = row["total"] - row["decode"]
    stages = ("preprocess", "mask_decode", "postprocess", "without decode")
    return {stage: statistics.median(row[stage] for row in timings) for stage in stages}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", help="the maskline binary")
    parser.add_argument("photo")
    options = parser.parse_args()
    line = subprocess.run([options.binary, "run", "nano", options.photo, "--json", "--point", "1,1"], capture_output=True, text=True, check=True)
    size = json.loads(line.stdout.splitlines()[0])
    width, height = size["width"], size["height"]
    ten = [word for box in boxes(width, height, 10) for word in ("--box", ",".join(map(str, box)))]
    cases = {
        "1 box": ten[:2],
        "10 boxes": ten,
        "1 click": ["--point", f"{width // 2},{height // 2}"],
        "3 clicks on one object": [w for x in (2, 3, 4) for w in ("--point", f"{width // x},{height // x}")],
    }
    print(f"{options.photo}, {width} x {height}; medians of {REPEAT - DROPPED} answers, milliseconds")
    for name, prompts in cases.items():
        row = measure(options.binary, options.photo, prompts)
        print(f"{name:24}" + "".join(f"  {stage} {value:6.1f}" for stage, value in row.items()))


if __name__ == "__main__":
    main()
