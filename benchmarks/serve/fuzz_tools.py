"""Wrong JSON for what annotation tools and the page send: export, Label Studio's predictions, X-AnyLabeling's.

    fuzz_tools.py --maskline target/release/maskline --count 5000 [--seed 7]

What must hold: no status of 5xx but 503, every answer is JSON (or a file, of what was valid all the same), the server
lives, is ready, and still answers each valid question, looked at every 500 requests. Needs the standard library alone.
"""

import argparse
import base64
import http.client
import json
import random
import sys
from collections import Counter
from pathlib import Path

import mutations
import processes

SAMPLE = Path(__file__).resolve().parents[2] / "examples" / "still-life.jpg"
# Bytes of a body that a server takes if nothing else is said.
MOST_BODY = 64 << 20
FORMATS = ("json", "masks", "cutout", "png-index", "polygons", "coco-rle", "labelme", "yolo", "coco", "label-studio")
CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image"><Label value="Mug"/></BrushLabels>
<KeyPointLabels name="point" toName="image" smart="true"><Label value="Mug"/></KeyPointLabels>
<RectangleLabels name="box" toName="image" smart="true"><Label value="Mug"/></RectangleLabels></View>"""


class Asking:
    """Questions over one connection after the other."""

    def __init__(self, address):
        self.address = address

    def post(self, path, body):
        """Status, media type and body of an answer."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.getheader("content-type", ""), answer.read()
        except (BrokenPipeError, ConnectionResetError):
            # What is over the limit is refused, and closed, before all of it is read.
            if len(body) <= MOST_BODY:
                raise
            return 413, "application/json", b"{}"
        finally:
            connection.close()


def questions(asking):
    """A valid question for each path; the picture is sent once, and named by its hash where that can be."""
    picture = base64.b64encode(SAMPLE.read_bytes()).decode()
    click = {"image": {"base64": picture}, "prompts": [{"points": [[460, 375, 1]], "label": "mug"}]}
    status, _, body = asking.post("/v1/segment", json.dumps(click))
    if status != 200:
        raise SystemExit(f"the picture could not be asked about: {status} {body[:300]}")
    answer = json.loads(body)
    held = {"ref": answer["image"]["ref"]}
    seen = {"image": held, "name": "still-life.jpg", "objects": answer["objects"], "prompts": click["prompts"]}
    exports = [("/v1/export", {**seen, "format": form, "classes": ["mug"], "save_conf": True}) for form in FORMATS]
    size = {"original_width": 960, "original_height": 640, "image_rotation": 0}
    drawn = [
        {"id": "a", "type": "keypointlabels", **size, "is_positive": 1, "from_name": "point", "to_name": "image"},
        {"id": "b", "type": "rectanglelabels", **size, "from_name": "box", "to_name": "image"},
    ]
    drawn[0]["value"] = {"x": 48.0, "y": 58.0, "width": 0.3, "keypointlabels": ["Mug"]}
    drawn[1]["value"] = {"x": 38.0, "y": 44.0, "width": 20.0, "height": 29.0, "rectanglelabels": ["Mug"]}
    task = {"id": 1, "data": {"image": f"data:image/jpeg;base64,{picture}"}}
    studio = {"tasks": [task], "project": "1.5", "label_config": CONFIG, "params": {"context": {"result": drawn}}}
    marks = [{"type": "point", "data": [460, 375], "label": 1}, {"type": "rectangle", "data": [368, 282, 553, 468]}]
    params = {"conf_threshold": 0.2, "iou_threshold": 0.5, "epsilon_factor": 0.001, "marks": marks}
    tool = {"model": "nano", "image": f"data:image/jpeg;base64,{picture}", "params": params}
    return [*exports, ("/label-studio/predict", studio), ("/x-anylabeling/v1/predict", tool)]


def breach(status, media, body):
    """What is wrong with an answer, or nothing."""
    if status >= 500 and status != 503:
        return f"status {status}"
    if "json" in media:
        try:
            json.loads(body)
        except ValueError as error:
            return f"no JSON: {error}"
        return None
    return None if status == 200 else f"status {status} as {media or 'nothing'}"


def fuzz(address, arguments):
    """The loop: whether all held."""
    drawn, asking = random.Random(arguments.seed), Asking(address.http)
    valid = questions(asking)
    outcomes, breaches = Counter(), []
    for number in range(arguments.count):
        path, question = drawn.choice(valid)
        for _ in range(drawn.choice((1, 1, 2, 4))):
            question = mutations.json_value(question, drawn)
        # Half a pair of surrogates is no text; it stays an escape.
        body = json.dumps(question).encode()
        if drawn.random() < 0.1:
            body = mutations.flipped(body, drawn)
        status, media, answer = asking.post(path, body)
        outcomes[f"{path} {status}"] += 1
        wrong = breach(status, media, answer)
        if wrong:
            breaches.append(f"request {number}: {path}: {wrong}")
            print(breaches[-1], flush=True)
            if arguments.keep:
                Path(arguments.keep).mkdir(parents=True, exist_ok=True)
                (Path(arguments.keep) / f"request-{number}.json").write_bytes(body)
        if number % 500 == 499 or number + 1 == arguments.count:
            breaches += alive(address, asking, valid)
        if len(breaches) >= 20:
            break
    for outcome, count in sorted(outcomes.items()):
        print(f"  {count:6} {outcome}")
    print(f"{sum(outcomes.values())} requests, seed {arguments.seed}, {len(breaches)} breaches")
    return not breaches


def alive(address, asking, valid):
    """What does not hold of the server: it lives, is ready, and answers what is valid."""
    if address.pid and not processes.is_alive(address.pid):
        raise SystemExit("the server is dead")
    broken = [] if processes.is_ready(address.http) else ["not ready"]
    for path, question in valid:
        status, _, body = asking.post(path, json.dumps(question))
        if status != 200:
            broken.append(f"a valid question to {path} got {status}: {body[:200]}")
    return broken


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maskline", required=True, metavar="BINARY", help="start this maskline's server")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep", metavar="FOLDER", help="for what broke something")
    parser.add_argument("--log", help="file for what the server says")
    arguments = parser.parse_args()
    with processes.maskline(arguments.maskline, ["nano"], arguments.log) as address:
        held = fuzz(address, arguments)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
