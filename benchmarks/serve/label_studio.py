"""The real Label Studio with maskline as its machine learning backend, all through Label Studio's own API.

    label_studio.py --maskline target/release/maskline --label-studio VENV/bin/label-studio
    label_studio.py … --detector ../../../shared/data/yolov8n/yolov8n.safetensors       pre-annotation too

`pip install label-studio` in an environment of its own (it was tried with 1.23.2). Label Studio is started with a data
folder of its own, which goes with it; the picture is one of examples/. Masks are decoded by Label Studio's own decoder
and compared with what `/v1/segment` answers to the same clicks and boxes. Needs requests. Each check prints `ok` or
`FAILED`; exit status 1 if one failed. `--keep` leaves both servers running after the checks, and tells how to log in.
"""

import argparse
import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests

import processes

PICTURE = Path(__file__).parents[2] / "examples" / "still-life.jpg"
MASKS = """<View>
  <Image name="img" value="$image"/>
  <BrushLabels name="brush" toName="img"><Label value="Mug" background="#d33682"/><Label value="Plate"/></BrushLabels>
  <KeyPointLabels name="point" toName="img" smart="true"><Label value="Mug"/><Label value="Plate"/></KeyPointLabels>
  <RectangleLabels name="rect" toName="img" smart="true"><Label value="Mug"/><Label value="Plate"/></RectangleLabels>
</View>"""
OUTLINES = """<View>
  <Image name="img" value="$image"/>
  <PolygonLabels name="outline" toName="img"><Label value="Mug"/></PolygonLabels>
  <KeyPointLabels name="point" toName="img" smart="true"><Label value="Mug"/></KeyPointLabels>
</View>"""
BOXES = """<View>
  <Image name="img" value="$image"/>
  <RectangleLabels name="rect" toName="img">
    <Label value="Cup" predicted_values="cup"/><Label value="Fruit" predicted_values="apple,orange,banana"/>
    <Label value="Thing" predicted_values="bowl,vase,bottle,book,spoon,dining table,potted plant"/>
  </RectangleLabels>
</View>"""
# Runs in Label Studio's environment: a brush's run lengths to the indices at which the mask begins and ends.
DECODER = """
import json, sys
import numpy as np
from label_studio_sdk.converter.brush import decode_rle
asked = json.load(sys.stdin)
pixels = np.reshape(decode_rle(asked["rle"]), [asked["height"], asked["width"], 4])
assert (pixels == pixels[:, :, 3:]).all(), "the channels differ"
mask = pixels[:, :, 3] > 0
json.dump(np.flatnonzero(mask.T.reshape(-1)).tolist(), sys.stdout)
"""


class Checks:
    """What held, and what did not."""

    def __init__(self):
        self.failed = 0

    def must(self, holds, what):
        """Tells one."""
        print(f"{'ok    ' if holds else 'FAILED'} {what}", flush=True)
        self.failed += not holds


class Studio:
    """A Label Studio of our own, and its API."""

    def __init__(self, binary, folder):
        self.binary, self.folder = Path(binary), Path(folder)
        self.port = processes.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.email, self.password, self.token = "tester@example.org", secrets.token_urlsafe(16), secrets.token_hex(20)
        self.http = requests.Session()
        self.http.headers["Authorization"] = f"Token {self.token}"

    @contextlib.contextmanager
    def running(self):
        """Started for the time of a `with`; the first start makes its database, which takes a while."""
        command = [self.binary, "start", "--no-browser", "--init", "--data-dir", self.folder, "--enable-legacy-api-token"]
        command += ["-db", self.folder / "studio.sqlite3", "-p", self.port, "--internal-host", "127.0.0.1"]
        command += ["--username", self.email, "--password", self.password, "--user-token", self.token]
        settings = {"COLLECT_ANALYTICS": "false", "LATEST_VERSION_CHECK": "false", "HOME": str(self.folder)}
        # Label Studio asks no backend of its own network, and sends it no webhooks, unless it is told so.
        settings |= {"ML_BLOCK_LOCAL_IP": "false", "SSRF_PROTECTION_ENABLED": "false"}
        settings |= {"SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": ""}
        with open(self.folder / "studio.log", "wb") as log:
            process = subprocess.Popen(
                [str(part) for part in command], env=os.environ | settings, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            self.wait(process)
            yield self
        finally:
            process.terminate()
            process.wait(30)

    def wait(self, process, seconds=600):
        """Until it answers."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(requests.ConnectionError):
                if self.http.get(f"{self.url}/health", timeout=5).ok:
                    return
            time.sleep(0.5)
        raise SystemExit(f"Label Studio does not answer:\n{(self.folder / 'studio.log').read_text()[-2000:]}")

    def call(self, method, path, expected=(200, 201), **arguments):
        """The JSON of an answer."""
        answer = self.http.request(method, f"{self.url}{path}", timeout=120, **arguments)
        if answer.status_code not in expected:
            raise SystemExit(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content else None

    def project(self, title, config):
        """A project with the picture as its only task; gives its id and that of the task."""
        project = self.call("POST", "/api/projects", json={"title": title, "label_config": config})["id"]
        with PICTURE.open("rb") as file:
            self.call("POST", f"/api/projects/{project}/import", files={"file": (PICTURE.name, file, "image/jpeg")})
        tasks = self.call("GET", f"/api/tasks?project={project}&fields=all")["tasks"]
        return project, tasks[0]

    def backend(self, project, url, key, expected=(200, 201), **more):
        """Attaches a backend."""
        body = {"project": project, "url": url, "title": "maskline", "is_interactive": True}
        body |= {"auth_method": "BASIC_AUTH", "basic_auth_user": "maskline", "basic_auth_pass": key}
        return self.call("POST", "/api/ml", expected, json=body | more)

    def ask(self, backend, task, items):
        """What is shown to somebody who has drawn these."""
        body = {"task": task["id"], "context": {"result": items}}
        return self.call("POST", f"/api/ml/{backend['id']}/interactive-annotating", json=body)

    def decoded(self, region):
        """The pixels of a brush, counted down the columns, by Label Studio's own decoder."""
        asked = {"rle": region["value"]["rle"], "width": region["original_width"], "height": region["original_height"]}
        command = [str(self.binary.parent / "python"), "-c", DECODER]
        done = subprocess.run(command, input=json.dumps(asked), text=True, stdout=subprocess.PIPE, check=True)
        return set(json.loads(done.stdout))


def counts_of(text):
    """The run lengths of COCO's compressed text."""
    counts, place = [], 0
    while place < len(text):
        value = shift = 0
        while True:
            part = ord(text[place]) - 48
            place += 1
            value |= (part & 31) << shift
            shift += 5
            if not part & 32:
                break
        if part & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return counts


class Native:
    """The same questions over `/v1/segment`."""

    def __init__(self, address, key):
        self.url, self.headers = f"http://{address.http}/v1/segment", {"X-Api-Key": key}

    def mask(self, **prompt):
        """The pixels of the answer, counted down the columns."""
        with PICTURE.open("rb") as file:
            form = {"model": "nano"} | prompt
            answer = requests.post(self.url, files={"image": file}, data=form, headers=self.headers, timeout=60)
        answer.raise_for_status()
        pixels, at = set(), 0
        for index, count in enumerate(counts_of(answer.json()["objects"][0]["segmentation"]["counts"])):
            if index % 2:
                pixels.update(range(at, at + count))
            at += count
        return pixels


def iou(one, other):
    """Of two sets of pixels."""
    return len(one & other) / max(len(one | other), 1)


def item(kind, task_size, place, label, **more):
    """What somebody drew, as Label Studio's page sends it; places are in pixels."""
    width, height = task_size
    percent = {name: 100 * value / (width if name in ("x", "width") else height) for name, value in place.items()}
    names = {"keypointlabels": "point", "rectanglelabels": "rect"}
    common = {"original_width": width, "original_height": height, "image_rotation": 0, "to_name": "img", "origin": "manual"}
    value = percent | {kind: [label]} | ({"width": 0.4} if kind == "keypointlabels" else {"rotation": 0})
    return common | {"id": secrets.token_hex(5), "type": kind, "from_name": names[kind], "value": value} | more


SIZE = (960, 640)
CLICK, AWAY = {"x": 460.0, "y": 375.0}, {"x": 300.0, "y": 320.0}
BOX = {"x": 368.0, "y": 282.0, "width": 185.0, "height": 186.0}


def interactive(checks, studio, address, key):
    """Clicks and boxes become brushes, which are kept as annotations; gives the task."""
    native = Native(address, key)
    project, task = studio.project("masks", MASKS)
    base = f"http://{address.http}/label-studio"
    refused = studio.backend(project, base, "x" * 20, expected=(400,))
    checks.must("authentication" in json.dumps(refused) or "401" in json.dumps(refused), "a wrong Basic password is refused")
    refused = studio.backend(project, f"{base}/nothing", key, expected=(400,))
    checks.must("404" in json.dumps(refused), "a model that there is not is refused")
    backend = studio.backend(project, f"{base}/nano", key)
    connected = backend["state"] == "CO" and str(backend["model_version"]).startswith("nano@")
    checks.must(connected, f"connected by Basic password: {backend['state']}, {backend['model_version']}")
    checks.must(task["data"]["image"].startswith("/data/upload/"), "the picture is one that only Label Studio gives out")
    click = item("keypointlabels", SIZE, CLICK, "Mug", is_positive=True)
    beside = item("keypointlabels", SIZE, AWAY, "Mug", is_positive=False)
    box = item("rectanglelabels", SIZE, BOX, "Plate")
    x1, y1 = BOX["x"], BOX["y"]
    bounds = f"{x1},{y1},{x1 + BOX['width']},{y1 + BOX['height']}"
    at, away = f"{CLICK['x']},{CLICK['y']}", f"{AWAY['x']},{AWAY['y']}"
    regions = []
    for what, items, prompt in [
        ("a click", [click], {"point": at}),
        ("a click and one beside", [click, beside], {"point": [at, f"{away},0"]}),
        ("a box", [box], {"box": bounds}),
        ("a box and a click", [box, click], {"box": bounds, "point": at}),
    ]:
        told = studio.ask(backend, task, items)
        if not told.get("data", {}).get("result"):
            checks.must(False, f"{what}: {told}")
            continue
        region = told["data"]["result"][0]
        label = items[-1]["value"][items[-1]["type"]][0]
        is_brush = region["type"] == "brushlabels" and region["from_name"] == "brush" and region["to_name"] == "img"
        checks.must(is_brush and region["value"]["brushlabels"] == [label], f"{what}: a brush of `{label}`")
        found, expected = studio.decoded(region), native.mask(**prompt)
        same = iou(found, expected)
        checks.must(same == 1.0 and len(found) > 1000, f"{what}: IoU with /v1/segment {same} of {len(found)} pixels")
        regions.append(region)
    checks.must(len({region["id"] for region in regions}) == 4, "every region has an id of its own")
    told = studio.ask(backend, task, [])
    checks.must(told["data"]["result"] == [], "what is deleted again leaves nothing")
    told = studio.ask(backend, task, [item("keypointlabels", SIZE, {"x": -5000.0, "y": 5.0}, "Mug")])
    checks.must("400" in json.dumps(told.get("errors", "")), f"a click outside of the picture is an error: {told}")
    kept = studio.call("POST", f"/api/tasks/{task['id']}/annotations/", json={"result": regions[:1], "lead_time": 1.0})
    read = studio.call("GET", f"/api/annotations/{kept['id']}/")
    same = iou(studio.decoded(read["result"][0]), native.mask(point=at))
    checks.must(same == 1.0, f"the annotation that was kept: IoU with /v1/segment {same}")
    return project, task


def outlines(checks, studio, address, key):
    """Where a project takes outlines and no brush, it gets those."""
    project, task = studio.project("outlines", OUTLINES)
    backend = studio.backend(project, f"http://{address.http}/label-studio/nano", key)
    region = studio.ask(backend, task, [item("keypointlabels", SIZE, CLICK, "Mug", is_positive=1)])["data"]["result"][0]
    points = region["value"]["points"]
    inside = all(0 <= side <= 100 for point in points for side in point)
    checks.must(region["type"] == "polygonlabels" and len(points) > 5 and inside, f"an outline of {len(points)} points")


def pre_annotation(checks, studio, address, key):
    """A detector's boxes become predictions, with the project's labels."""
    project, task = studio.project("boxes", BOXES)
    studio.backend(project, f"http://{address.http}/label-studio/detector", key, is_interactive=False)
    action = f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}"
    studio.call("POST", action, json={"selectedItems": {"all": True, "excluded": []}})
    predictions = studio.call("GET", f"/api/predictions?task={task['id']}")
    regions = [region for prediction in predictions for region in prediction["result"]]
    labels = sorted(label for region in regions for label in region["value"]["rectanglelabels"])
    checks.must(len(predictions) == 1 and predictions[0]["model_version"].startswith("detector@"), "one prediction of the task")
    checks.must(regions and set(labels) <= {"Cup", "Fruit", "Thing"}, f"boxes with the project's labels: {labels}")


def personal_token(checks, studio, arguments):
    """With legacy tokens off, a personal access token opens the pictures."""
    personal = studio.call("POST", "/api/token/")["token"]
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(personal)
        file.flush()
        more = ["--label-studio-url", studio.url, "--label-studio-token-file", file.name]
        with processes.maskline(arguments.maskline, ["nano", *more]) as address:
            project, task = studio.project("personal", MASKS)
            settings = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": False}
            body = {"project": project, "url": f"http://{address.http}/label-studio", "title": "maskline"}
            backend = studio.call("POST", "/api/ml", json=body | {"is_interactive": True})
            access = studio.call("POST", "/api/token/refresh/", json={"refresh": personal})["access"]
            studio.call("POST", "/api/jwt/settings", json=settings)
            studio.http.headers["Authorization"] = f"Bearer {access}"
            told = studio.ask(backend, task, [item("keypointlabels", SIZE, CLICK, "Mug", is_positive=True)])
    checks.must(bool(told.get("data", {}).get("result")), f"a personal access token, legacy ones off: {str(told)[:90]}")


def main():
    """Both servers, and all checks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maskline", required=True, help="the binary")
    parser.add_argument("--label-studio", required=True, help="bin/label-studio of the environment that has it")
    parser.add_argument("--detector", help="a detector of COCO's classes, for pre-annotation")
    parser.add_argument("--keep", action="store_true", help="leave both running until Enter is pressed")
    arguments = parser.parse_args()
    checks, key = Checks(), secrets.token_hex(16)
    models = ["nano"] + ([f"detector={arguments.detector}"] if arguments.detector else [])
    os.environ["MASKLINE_API_KEY"] = key
    with tempfile.TemporaryDirectory() as folder, Studio(arguments.label_studio, folder).running() as studio:
        with processes.maskline(arguments.maskline, models) as address:
            project, task = interactive(checks, studio, address, key)
            outlines(checks, studio, address, key)
            if arguments.detector:
                pre_annotation(checks, studio, address, key)
            if arguments.keep:
                print(f"{studio.url}/projects/{project}/data?task={task['id']} {studio.email} {studio.password}", flush=True)
                sys.stdin.readline()
        del os.environ["MASKLINE_API_KEY"]
        personal_token(checks, studio, arguments)
    print(f"{checks.failed} failed" if checks.failed else "all ok")
    sys.exit(checks.failed > 0)


if __name__ == "__main__":
    main()
