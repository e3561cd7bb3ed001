#!/usr/bin/env python3
"""Makes fuzz/corpus from small files of the folders that are named, and from a few of its own. Needs Python alone."""

import hashlib
import json
import struct
import sys
import zipfile
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / "corpus"
LARGEST = 48 << 10
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def keep(target, data):
    if 0 < len(data) <= LARGEST:
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def of_archive(path):
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith("data.pkl"):
                keep("pickle", archive.read(name))


def of_file(path):
    data = path.read_bytes()
    if path.suffix in (".pt", ".pth"):
        keep("checkpoint", data)
        if zipfile.is_zipfile(path):
            of_archive(path)
    elif path.suffix == ".safetensors":
        keep("checkpoint", data)
        length = struct.unpack("<Q", data[:8])[0]
        keep("safetensors", data[8 : 8 + length])
    elif path.suffix == ".onnx":
        keep("onnx", data)
    elif path.suffix.lower() in PICTURES:
        keep("picture", data)


def own():
    header = {"a.weight": {"dtype": "F16", "shape": [4, 8], "data_offsets": [0, 64]}, "__metadata__": {"format": "pt"}}
    text = json.dumps(header).encode()
    keep("safetensors", text)
    keep("checkpoint", struct.pack("<Q", len(text)) + text + bytes(64))
    size = bytes([7, 9])
    for rest in (b"0", b"5\\`0", b"P3oo2", b'{"size": [7, 9], "counts": [3, 60]}', b'{"counts": "3l1"}', b"[[1, 1, 8, 1, 8, 6, 1.5, 6]]"):
        keep("rle", size + rest)
    # The length of the JSON, the JSON, tensors; then gRPC's messages.
    tensors = [("BYTES", [1], b"\x03\x00\x00\x00abc"), ("FP32", [1, 2], bytes(8)), ("BOOL", [0, 3], b"")]
    inputs = [{"name": "x", "datatype": kind, "shape": shape, "parameters": {"binary_data_size": len(raw)}} for kind, shape, raw in tensors]
    inputs += [{"name": "y", "datatype": "FP16", "shape": [2, 1], "data": [[1.5], [-2]]}, {"data": ["a\\u00e9"], "datatype": "BYTES", "shape": [1], "name": "z"}]
    more = {"id": "7", "parameters": {"priority": 1, "timeout": 5}, "outputs": [{"name": "y", "parameters": {"binary_data": True}}]}
    text = json.dumps({"inputs": inputs, **more}).encode()
    keep("inference", struct.pack("<H", len(text)) + text + b"".join(raw for _, _, raw in tensors))
    keep("inference", b"\x0a\x01m\x12\x011\x2a\x0c\x0a\x01x\x12\x04BOOL\x1a\x01\x01\x32\x03\x0a\x01y\x3a\x01\x01")
    keep("inference", b"\x0a\x01m\x2a\x14\x0a\x01x\x12\x04INT8\x1a\x02\x01\x02\x2a\x05\x12\x03\x01\xff\x01")
    # ModelProto: ir_version, a graph with an input, an opset.
    port = b"\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x03"
    graph = b"\x12\x01g" + b"\x5a" + bytes([len(port)]) + port
    keep("onnx", b"\x08\x0a\x3a" + bytes([len(graph)]) + graph + b"\x42\x02\x10\x15")
    keep("picture", b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")
    keep("picture", b"BM:\x00\x00\x00\x00\x00\x00\x006\x00\x00\x00(\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x18" + bytes(24) + b"abc\x00")
    # Every byte as a letter, inside and at the end of a word, a merge, and what begins and ends a text.
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(code) for code in shown + list(range(256, 256 + 256 - len(shown)))]
    tokens = [*letters, *(letter + "</w>" for letter in letters), "ca", "cat</w>", "<|startoftext|>", "<|endoftext|>"]
    vocabulary, merges = {token: index for index, token in enumerate(tokens)}, ["c a", "ca t</w>"]
    words = "A cat's &amp; 12 \u00c9t\u00e9 \u2764".encode()
    whole = {"model": {"type": "BPE", "vocab": vocabulary, "merges": merges, "end_of_word_suffix": "</w>", "unk_token": "<|endoftext|>"}}
    keep("tokenizer", b"\xff".join([json.dumps(vocabulary).encode(), ("#version: 0.2\n" + "\n".join(merges)).encode(), words]))
    keep("tokenizer", b"\xff".join([json.dumps(whole).encode(), b"{}", words]))
    # A state dict of one tensor, as PyTorch writes it.
    keep("pickle", b"".join([
        b"\x80\x02}q\x00X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storageq\x03ctorch\nFloatStorage\nq\x04",
        b"X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06K\x06tq\x07QK\x00K\x02K\x03\x86q\x08K\x03K\x01\x86q\x09\x89ccollections\nOrderedDict\nq\x0a)Rq\x0btq\x0cRq\x0ds.",
    ]))


def main():
    own()
    for folder in sys.argv[1:]:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and path.stat().st_size <= 8 << 20:
                of_file(path)
    for folder in sorted(CORPUS.iterdir()):
        print(f"{folder.name}: {len(list(folder.iterdir()))} files")


if __name__ == "__main__":
    main()
