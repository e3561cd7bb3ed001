"""Writes the ground truth of the pictures that are not trained on, for `maskline eval nano --data FILE --images FOLDER`."""

import argparse
import json
from pathlib import Path

from .coco import HELD_OUT


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", help="JSON file")
    parser.add_argument("--data", default="../../shared/data/coco_train", help="folder with instances.json")
    options = parser.parse_args()
    data = json.loads((Path(options.data) / "instances.json").read_text())
    ordered = sorted(image["id"] for image in data["images"])
    kept = set(ordered[HELD_OUT - 1 :: HELD_OUT])
    data["images"] = [image for image in data["images"] if image["id"] in kept]
    data["annotations"] = [annotation for annotation in data["annotations"] if annotation["image_id"] in kept]
    Path(options.output).write_text(json.dumps(data))
    print(f"{options.output}: {len(data['images'])} pictures, {len(data['annotations'])} annotations")


if __name__ == "__main__":
    main()
