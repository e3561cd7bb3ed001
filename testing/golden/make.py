#!/usr/bin/env python3
"""Writes the small golden cases of `crates/maskline/tests/cases/tiny`.

Every family's forward pass is written here a second time, in numpy and float64, from the papers and the published layouts; its
weights are random. So a clone can show equality without anyone's weights or code. Needs numpy; the tests need nothing of this.
"""

import argparse
from pathlib import Path

import efficientvit_sam
import mobile_sam
import owl
import sam2
import sam3
import yolo
import yolov8

FAMILIES = {
    "yolov8": yolov8.make,
    "yolo": yolo.make,
    "mobile_sam": mobile_sam.make,
    "sam2": sam2.make,
    "efficientvit_sam": efficientvit_sam.make,
    "owl": owl.make,
    "sam3": sam3.make,
}
CASES = Path(__file__).resolve().parents[2] / "crates/maskline/tests/cases/tiny"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", help=f"of {', '.join(FAMILIES)}; all by default")
    parser.add_argument("--out", type=Path, default=CASES)
    options = parser.parse_args()
    for family in options.families or FAMILIES:
        FAMILIES[family](options.out)


if __name__ == "__main__":
    main()
