#!/usr/bin/env python3
"""How far f16 and int8 go from f32, family by family: the tables of docs/providers.md.

    benchmarks/precision.py [--trained] [--maskline target/release/maskline] [--goldens ../shared/goldens] [--data ../shared/data]

Golden cases of the official implementations (f32, generated weights), by `maskline verify --precision`; then what trained weights find
(YOLOv8n: mAP, nano: mean IoU), by `maskline eval --precision`, where the data are there.
"""

import argparse
import json
import pathlib
import subprocess
import sys

PRECISIONS = ["f32", "f16", "f16-emulated", "int8"]
PICTURES = 50
TITLES = {"f32": "f32", "f16": "f16 weights", "f16-emulated": "f16 as on a GPU", "int8": "int8"}
FAMILIES = ["yolov8", "mobile_sam", "efficientvit_sam", "sam2_image", "sam2_official", "sam2_video", "owlvit", "owlv2", "sam3_image", "sam3_tracker"]


def lines(command):
    """What a command prints as JSON, a line each. Cases that are beyond their tolerance are told by exit code 1."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def verified(maskline, cases, precision):
    """Median and worst error, worst IoU of a mask, and answers that differ altogether."""
    rows = [row for report in lines([maskline, "verify", *cases, "--precision", precision, "--json"]) for row in report["rows"]]
    failures = [row for row in rows if "failure" in row]
    if failures:
        sys.exit(f"{precision}: {failures[0]['tensor']}: {failures[0]['failure']}")
    # Prompts and tables are the same to the last bits.
    errors = sorted(row["relative"] for row in rows if row["relative"] is not None and row["relative"] > 1e-6)
    overlaps = [row["iou"] for row in rows if "iou" in row]
    beyond = sum(not row["passed"] for row in rows)
    return {"tensors": len(rows), "median": errors[len(errors) // 2], "worst": errors[-1], "iou": overlaps, "beyond": beyond}


def share(values):
    values = sorted(values)
    return f"{values[len(values) // 2]:.4f} / {values[0]:.3f}" if values else "–"


def golden_table(maskline, goldens):
    print("| family | numbers | tensors | error, median | error, worst | mask IoU, median / worst | beyond tolerance |")
    print("|---|---|---|---|---|---|---|")
    for family in FAMILIES:
        cases = sorted(path.parent for path in goldens.glob(f"{family}/*/case.json"))
        if not cases:
            sys.exit(f"{goldens / family}: no cases")
        for precision in PRECISIONS[1:]:
            found = verified(maskline, cases, precision)
            cells = [family, TITLES[precision], str(found["tensors"]), f"{found['median']:.1e}", f"{found['worst']:.1e}", share(found["iou"]), str(found["beyond"])]
            print("| " + " | ".join(cells) + " |", flush=True)


def judged(maskline, model, data, precision):
    command = [maskline, "eval", model, "--data", data / "coco_train/instances.json", "--images-limit", str(PICTURES), "--precision", precision, "--json"]
    return lines(command)[0]


def trained_table(maskline, data):
    weights = data / "yolov8n/yolov8n.safetensors"
    for model in ["nano", weights]:
        photos = data / "photos"
        subprocess.run([maskline, "quantise", model, photos, "--anyway", "--limit", "0.01"], check=True, capture_output=True)
    print("| numbers | YOLOv8n, mAP50-95 | mAP50 | nano, mean IoU by box | by one click |")
    print("|---|---|---|---|---|")
    for precision in PRECISIONS:
        boxes = judged(maskline, weights, data, precision)["bbox"]
        prompts = {row["prompt"]: row["all"]["mean_iou"] for row in judged(maskline, "nano", data, precision)["prompts"]}
        cells = [TITLES[precision], f"{boxes['ap']:.4f}", f"{boxes['ap_50']:.4f}"] + [f"{value:.4f}" for value in list(prompts.values())[:2]]
        print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maskline", default="target/release/maskline", type=pathlib.Path)
    parser.add_argument("--goldens", default="../shared/goldens", type=pathlib.Path)
    parser.add_argument("--trained", action="store_true", help="only what trained weights find")
    parser.add_argument("--data", default="../shared/data", type=pathlib.Path)
    arguments = parser.parse_args()
    if not arguments.trained:
        golden_table(arguments.maskline, arguments.goldens)
    if arguments.data.is_dir():
        print(flush=True)
        trained_table(arguments.maskline, arguments.data)


if __name__ == "__main__":
    main()
