"""Pictures and questions that the scripts ask of high-level models; drawn here, no photo is needed."""

import base64
import io
import struct
from dataclasses import dataclass

from PIL import Image, ImageDraw

from wire import Infer, Tensor, packed, post_json


@dataclass
class Picture:
    """An encoded picture, and a point on the thing that is drawn on it."""

    encoded: bytes
    width: int
    height: int
    x: float
    y: float


def picture(number=0, width=640, height=480, form="JPEG"):
    """A picture that differs by `number`: two discs and a rectangle on a gradient."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    draw = ImageDraw.Draw(image)
    shift = 17 * number % (width // 3)
    x, y, radius = width // 4 + shift, height // 2, height // 5
    draw.rectangle((width * 0.7, height * 0.1, width * 0.95, height * 0.4 + number), fill=(30, 90, 200))
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(210, 60 + number % 100, 40))
    draw.ellipse((width * 0.6, height * 0.6, width * 0.8, height * 0.9), fill=(240, 220, 60))
    encoded = io.BytesIO()
    image.save(encoded, form)
    return Picture(encoded.getvalue(), width, height, x, y)


def floats(*values):
    """f32 in little-endian."""
    return struct.pack(f"<{len(values)}f", *values)


def image_tensor(of):
    """The input `image` of a high-level model."""
    return Tensor("image", "BYTES", [1], packed([of.encoded]))


def click(model, of):
    """A click on the drawn thing, as a request of the protocol."""
    points = Tensor("points", "FP32", [1, 2], floats(of.x, of.y))
    return Infer(model, [image_tensor(of), points, Tensor("labels", "INT64", [1], struct.pack("<q", 1))])


def detect(model, of, words=()):
    """Everything that a detector finds, or what words name, as a request of the protocol."""
    text = [Tensor("text", "BYTES", [len(words)], packed([word.encode() for word in words]))] if words else []
    return Infer(model, [image_tensor(of), *text])


def upload(connection, model, of):
    """Sends a picture once with a click and gives the reference by which it is known from then on."""
    answer = post_json(
        connection, "/v1/segment", segment(model, {"base64": base64.b64encode(of.encoded).decode()}, of.x, of.y)
    )
    if answer.status != 200:
        raise SystemExit(f"/v1/segment answered {answer.status}: {answer.error()}")
    return answer.json()["image"]["ref"]


def segment(model, image, x, y):
    """The body of a click at `/v1/segment`; `image` is `{"base64": …}` or `{"ref": …}`."""
    return {"model": model, "image": image, "prompts": [{"points": [[x, y, 1]]}], "format": "json"}


def detection(model, image, words=()):
    """The body of `/v1/detect`."""
    return {"model": model, "image": image, "format": "json"} | ({"texts": list(words)} if words else {})
