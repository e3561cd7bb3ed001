"""Questions for load: bytes of whole HTTP requests, made before, each with what its answer must be."""

import base64
import json
import random

import numpy

import pictures
from open_loop import Question
from wire import Connection, Infer, Tensor, outputs_of


class Maker:
    """Makes questions for one server. `picture_model` answers clicks, `detector` finds things by itself."""

    def __init__(self, address, picture_model="nano", detector=None, seed=7):
        self.connection = Connection(address)
        self.picture_model = picture_model
        self.detector = detector
        self.random = random.Random(seed)
        self.refs = {}

    def tensor(self, model="identity_fp32", count=16):
        """A row of numbers that an identity gives back (`slow` is one too)."""
        row = numpy.array([[self.random.random() for _ in range(count)]], numpy.float32).tobytes()
        asked = Infer(model, [Tensor("INPUT", "FP32", [1, count], row)], ["OUTPUT"])
        return Question(
            model, asked.message(self.connection), check=lambda answer: outputs_of(answer)["OUTPUT"][2] == row
        )

    def slow(self):
        """The graph that takes its time."""
        return self.tensor("slow")

    def post(self, kind, path, value, **options):
        """A POST of JSON."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        message = self.connection.message("POST", path, {"Content-Type": "application/json"}, body)
        return Question(kind, message, **options)

    def picture(self, number):
        """A picture for `/v1`, by reference: sent once, the first time that it is asked about."""
        if number not in self.refs:
            of = pictures.picture(number)
            self.refs[number] = (pictures.upload(self.connection, self.picture_model, of), of)
        return self.refs[number]

    def click(self, number=0):
        """A click on a picture that the server knows."""
        ref, of = self.picture(number)
        x = of.x + self.random.randrange(-20, 20)
        body = pictures.segment(self.picture_model, {"ref": ref}, x, of.y)
        return self.post("click", "/v1/segment", body, check=lambda answer: len(answer.json()["objects"]) >= 1)

    def new_picture(self, number):
        """A click with the picture in the request."""
        of = pictures.picture(number)
        image = {"base64": base64.b64encode(of.encoded).decode()}
        body = pictures.segment(self.picture_model, image, of.x, of.y)
        return self.post("picture", "/v1/segment", body, check=lambda answer: len(answer.json()["objects"]) >= 1)

    def detect(self, number=0, model=None, words=()):
        """Everything that a detector finds on a picture, or what words name."""
        image = {"base64": base64.b64encode(pictures.picture(number).encoded).decode()}
        body = pictures.detection(model or self.detector, image, words)
        return self.post("detect", "/v1/detect", body, check=lambda answer: isinstance(answer.json()["objects"], list))

    def oip_click(self, number=0):
        """A click with its picture over the protocol."""
        asked = pictures.click(self.picture_model, pictures.picture(number))
        return Question(
            "oip click", asked.message(self.connection), check=lambda answer: len(outputs_of(answer)["scores"][2]) >= 4
        )

    def bad(self):
        """A request that is wrong in one of many ways, each of which is the client's fault."""
        row = bytes(64)
        wrong = (400, 404, 405, 413, 415, 422)
        infer = Infer("identity_fp32", [Tensor("INPUT", "FP32", [1, 16], row[:-1])]).message(self.connection)
        header = {"Inference-Header-Content-Length": "99999"}
        lies = Infer("identity_fp32", [Tensor("INPUT", "FP32", [1, 16], row)]).message(self.connection, header)
        unknown = Infer("no_such_model", [Tensor("INPUT", "FP32", [1, 16], row)]).message(self.connection)
        no_picture = pictures.segment(self.picture_model, {"base64": base64.b64encode(b"no picture").decode()}, 1, 1)
        no_ref = pictures.segment(self.picture_model, {"ref": "0" * 64}, 1, 1)
        chosen = self.random.randrange(7)
        if chosen < 3:
            return Question("bad", (infer, lies, unknown)[chosen], statuses=wrong)
        body = (no_picture, no_ref, b'{"model": "nano", "prompts": [', {"model": "no_such_model"})[chosen - 3]
        return self.post("bad", "/v1/segment", body, statuses=wrong)

    def mixed(self, number, how_many_pictures):
        """One of everything in turn, about a bounded number of pictures."""
        of = number % how_many_pictures
        kinds = [
            lambda: self.click(of),
            lambda: self.tensor(count=self.random.choice([1, 16, 1000, 50_000])),
            lambda: self.new_picture(of),
            self.bad,
            lambda: self.oip_click(of),
            lambda: self.detect(of) if self.detector else self.click(of),
        ]
        return kinds[number % len(kinds)]()
