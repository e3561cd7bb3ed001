"""Good files to mutate: found in folders, and made here."""

import dataclasses
import json
import pathlib
import struct
import zlib

import mutations

# Kinds by ending; larger files only make the runs longer.
KINDS = {
    ".safetensors": "safetensors", ".pt": "torch", ".pth": "torch", ".onnx": "onnx", ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg",
    ".jfif": "jpeg", ".webp": "webp", ".bmp": "bmp", ".gif": "gif", ".tif": "tiff", ".tiff": "tiff",
}
MODELS = ("safetensors", "torch", "onnx", "config")
LARGEST = {"safetensors": 3 << 20, "torch": 3 << 20, "onnx": 3 << 20}
LARGEST_PICTURE = 300 << 10
# Where the picture that models look at, and that prompts are about, is.
PICTURE = "photo.png"
SIZE = (120, 80)


@dataclasses.dataclass(frozen=True)
class Seed:
    """A good file. `beside` are the files that it needs, by name; `arguments` what the command needs beside it."""

    kind: str
    name: str
    data: bytes
    beside: tuple[tuple[str, bytes], ...] = ()
    arguments: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """What reads the file, seen from its folder."""
        if self.kind == "prompts":
            return ["run", PICTURE, "--prompts", self.name, "--json"]
        if self.kind == "annotations":
            return ["eval", "--data", self.name, "--predictions", "found.json", "--json"]
        if self.kind in MODELS:
            model = self.name if self.kind != "config" else next(name for name, _ in self.beside if name.endswith(".safetensors"))
            return ["run", model, PICTURE, "--json", *self.arguments]
        return ["run", self.name, "--box", "10,10,60,60", "--json", *self.arguments]


def found(folders: list[pathlib.Path]) -> list[Seed]:
    """Files of known kinds below the folders, in a fixed order."""
    seeds = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            kind = KINDS.get(path.suffix.lower())
            is_wished = kind and path.is_file() and path.stat().st_size <= LARGEST.get(kind, LARGEST_PICTURE)
            # Recorded tensors of tests are no checkpoints.
            if not is_wished or path.name in ("inputs.safetensors", "outputs.safetensors"):
                continue
            data, config = path.read_bytes(), path.with_name("config.json")
            if kind == "safetensors" and config.is_file():
                beside = (("config.json", config.read_bytes()),)
                seeds.append(Seed(kind, path.name, data, beside))
                seeds.append(Seed("config", "config.json", config.read_bytes(), ((path.name, data),)))
            else:
                seeds.append(Seed(kind, path.name, data))
    return seeds


def made() -> list[Seed]:
    """Pictures, prompts and annotations that need no other file."""
    pictures = [
        Seed("png", "rgb.png", png(2, 8)),
        Seed("png", "grey16.png", png(0, 16)),
        Seed("png", "alpha.png", png(6, 8)),
        Seed("png", "palette.png", png(3, 8)),
        Seed("bmp", "rgb.bmp", bmp()),
        Seed("gif", "small.gif", gif()),
        Seed("tiff", "rgb.tif", tiff()),
    ]
    prompts = [Seed("prompts", f"prompts{number}.json", json.dumps(value).encode()) for number, value in enumerate(prompt_files())]
    annotations = Seed("annotations", "coco.json", json.dumps(COCO).encode(), (("found.json", json.dumps(FOUND).encode()),))
    return pictures + prompts + [annotations]


def picture() -> bytes:
    """The picture that models look at."""
    return png(2, 8)


def rows(channels: int, size: int) -> list[bytes]:
    """A gradient, by rows; `size` is the bytes of a number."""
    width, height = SIZE
    value = lambda x, y, c: bytes([(x * 2 + y * 3 * (c + 1)) % 256]) + b"\0" * (size - 1)
    return [b"".join(value(x, y, c) for x in range(width) for c in range(channels)) for y in range(height)]


def png(colour: int, depth: int) -> bytes:
    channels = {0: 1, 2: 3, 3: 1, 6: 4}[colour]
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", *SIZE, depth, colour, 0, 0, 0))]
    if colour == 3:
        chunks.append((b"PLTE", bytes(range(256)) * 3))
    packed = zlib.compress(b"".join(b"\0" + row for row in rows(channels, depth // 8)))
    return mutations.png(chunks + [(b"IDAT", packed), (b"IEND", b"")])


def bmp() -> bytes:
    pixels = b"".join(row + b"\0" * (-len(row) % 4) for row in reversed(rows(3, 1)))
    header = struct.pack("<IiiHHIIiiII", 40, *SIZE, 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) + header + pixels


def gif() -> bytes:
    """Without compression: after every 126 pixels the table of codes begins anew."""
    width, height = 40, 30
    codes = []
    for place in range(width * height):
        codes += ([128] if place % 126 == 0 else []) + [place % 128]
    bits = "".join(format(code, "08b")[::-1] for code in codes + [129])
    stream = bytes(int(bits[place : place + 8].ljust(8, "0")[::-1], 2) for place in range(0, len(bits), 8))
    blocks = b"".join(bytes([len(stream[place : place + 255])]) + stream[place : place + 255] for place in range(0, len(stream), 255))
    palette = bytes(range(128)) * 3
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF6, 0, 0) + palette + b"," + struct.pack("<HHHHBB", 0, 0, width, height, 0, 7) + blocks + b"\0;"


def tiff() -> bytes:
    pixels = b"".join(rows(3, 1))
    width, height = SIZE
    entries = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 8 + len(pixels)), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 8),
               (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, len(pixels))]
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 14 + len(pixels)) + pixels + struct.pack("<HHH", 8, 8, 8) + table


def prompt_files() -> list:
    run_lengths = {"size": [80, 120], "counts": [1000, 500, 8100]}
    return [
        [[10, 10, 60, 60], {"box": [5, 5, 50, 50], "points": [[20, 20], [30, 30, 0]], "label": "cat", "class_id": 3}],
        {"images": {PICTURE: [{"points": [[20, 20]], "labels": [1]}]}, "prompts": [{"mask": run_lengths}]},
        [{"mask": [[10, 10, 60, 10, 60, 60]], "box": [5, 5, 70, 70]}, {"mask": PICTURE}],
        [{"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 900, "bbox": [10, 10, 50, 50], "segmentation": run_lengths}],
    ]


COCO = {
    "images": [{"id": 1, "file_name": PICTURE, "width": 120, "height": 80}, {"id": 2, "file_name": "x.png", "width": 120, "height": 80}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 1600, "bbox": [30, 20, 40, 40], "segmentation": [[30, 20, 70, 20, 70, 60]]},
        {"id": 2, "image_id": 1, "category_id": 2, "iscrowd": 1, "bbox": [0, 0, 9, 9], "segmentation": {"size": [80, 120], "counts": [10, 5, 9585]}},
    ],
    "categories": [{"id": 1, "name": "person", "isthing": 1}, {"id": 2, "name": "sky", "isthing": 0}],
}
FOUND = [{"image_id": 1, "category_id": 1, "score": 0.9, "bbox": [30, 20, 40, 40]}]
