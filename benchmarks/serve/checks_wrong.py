"""Checks 15 to 19: requests that are wrong, each in one way."""

import json
import struct

import numpy

import pictures
from checks_form import UNKNOWN, floats, infer_json, json_input, tensor
from clients import infer_request
from wire import Infer


def wrong_inputs(c):
    """Missing, unknown and duplicate inputs, wrong type, rank and size, unknown outputs, too large a batch."""
    row = floats()
    for client in c.clients:
        bad = "INVALID_ARGUMENT" if client.is_grpc else "400"
        refuses = {
            "a missing input": lambda: client.infer("add_sub", {"INPUT0": row}),
            "no input": lambda: client.infer("add_sub", {}),
            "an unknown input": lambda: client.infer("identity_fp32", {"INPUT": row, "OTHER": row}),
            "a wrong type": lambda: client.infer("identity_fp32", {"INPUT": row.astype(numpy.float64)}),
            "a wrong rank": lambda: client.infer("add_sub", {"INPUT0": row[0], "INPUT1": row[0]}),
            "a wrong size": lambda: client.infer("add_sub", {"INPUT0": floats(17), "INPUT1": floats(17)}),
            "an unknown output": lambda: client.infer("identity_fp32", {"INPUT": row}, outputs=["OTHER"]),
            "a duplicate input": lambda: client.call(
                "infer", "identity_fp32", [client.input("INPUT", row), client.input("INPUT", row)]
            ),
        }
        for what, send in refuses.items():
            c.refuses(f"{client.name} {what}", send, bad)
        config = client.dictionary("get_model_config", "identity_fp32")
        largest = int(config.get("config", config).get("max_batch_size", 0))
        if largest > 0:
            many = numpy.zeros((largest + 1, 16), numpy.float32)
            c.refuses(
                f"{client.name} a batch above {largest}", lambda: client.infer("identity_fp32", {"INPUT": many}), bad
            )
    if c.picture_model:
        of = pictures.picture()
        for client in c.clients:
            bad = "INVALID_ARGUMENT" if client.is_grpc else "400"
            two = {
                "image": numpy.array([of.encoded, of.encoded], numpy.object_),
                "points": numpy.zeros((1, 2), numpy.float32),
            }
            c.refuses(f"{client.name} two pictures", lambda: client.infer(c.picture_model, two), bad)
            none = {"image": numpy.array([b"no picture"], numpy.object_), "points": numpy.zeros((1, 2), numpy.float32)}
            c.refuses(f"{client.name} no picture", lambda: client.infer(c.picture_model, none), bad)


def malformed(c):
    """Malformed JSON, too little or too much data, negative sizes, BYTES whose lengths lie."""
    row = floats().tobytes()
    with c.raw() as connection:
        path = "/v2/models/identity_fp32/infer"

        def post(body):
            return connection.request("POST", path, {"Content-Type": "application/json"}, body)

        refuses = {
            "an empty body": lambda: post(b""),
            "malformed JSON": lambda: post(b'{"inputs": [{"name": "INPUT",'),
            "JSON that is no object": lambda: post(b"[1, 2]"),
            "JSON nested 100,000 deep": lambda: post(b"[" * 100_000),
            "inputs that are no list": lambda: post(b'{"inputs": 7}'),
            "no inputs": lambda: post(b"{}"),
            "a shape of words": lambda: infer_json(connection, "identity_fp32", {"inputs": [json_input([1.0], ["a"])]}),
            "too little JSON data": lambda: infer_json(
                connection, "identity_fp32", {"inputs": [json_input([1.0], [1, 16])]}
            ),
            "words for numbers": lambda: infer_json(
                connection, "identity_fp32", {"inputs": [json_input(["a"], [1, 1])]}
            ),
            "short data": lambda: Infer("identity_fp32", [tensor([1, 16], row[:-4])]).send(connection),
            "data not of whole numbers": lambda: Infer("identity_fp32", [tensor([1, 16], row[:-1])]).send(connection),
            "long data": lambda: Infer("identity_fp32", [tensor([1, 16], row + row)]).send(connection),
            "a negative size": lambda: Infer("identity_fp32", [tensor([-1, 16], row)]).send(connection),
            "a negative size of all": lambda: Infer("identity_fp32", [tensor([-1, -16], row)]).send(connection),
            "an unknown type": lambda: Infer("identity_fp32", [tensor([1, 16], row, "FP33")]).send(connection),
        }
        for what, send in refuses.items():
            c.refuses(f"HTTP {what}", send, "400")
        if c.picture_model:
            for what, data in (
                ("a length beyond the end", struct.pack("<I", 2**32 - 1) + b"abc"),
                ("half a length", b"\x01\x00"),
            ):
                c.refuses(
                    f"HTTP BYTES with {what}",
                    lambda: Infer(c.picture_model, [tensor([1], data, "BYTES", "image")]).send(connection),
                    "400",
                )
    with c.stub() as stub:
        for what, shape, data in (
            ("short data", [1, 16], row[:-4]),
            ("long data", [1, 16], row * 2),
            ("a negative size", [-1, 16], row),
        ):
            c.refuses(
                f"gRPC {what}",
                lambda: stub.infer(infer_request("identity_fp32", [tensor(shape, data)])),
                "INVALID_ARGUMENT",
            )
        c.refuses("gRPC no data", lambda: stub.infer(missing_data()), "INVALID_ARGUMENT")


def missing_data():
    """A request whose input has no contents at all."""
    request = infer_request("identity_fp32", [])
    request.inputs.add(name="INPUT", datatype="FP32", shape=[1, 16])
    return request


def header_lengths(c):
    """Lengths of the JSON that are no lengths, or lie."""
    row = floats().tobytes()
    with c.raw() as connection:
        for length in ("-1", "1" + "0" * 30, "4294967296", "99999", "12", "abc", "1 2", ""):
            headers = {"Inference-Header-Content-Length": length}
            send = Infer("identity_fp32", [tensor([1, 16], row)]).send
            c.refuses(f"header length {length!r}", lambda: send(connection, headers), "400")
            answer = Infer("identity_fp32", [tensor([1, 16], row)]).send(connection)
            c.expect(answer.status == 200, f"after header length {length!r}: {answer.status}")


def sizes_that_overflow(c):
    """Shapes whose product does not fit 64 bits, or that no data could fill; sizes of data likewise."""
    row = floats().tobytes()
    shapes = ([2**32, 2**32], [2**63 - 1, 2], [2**62, 4], [2**40, 1], [2**64, 1], [2**32, 2**32, 2**32])
    with c.raw() as connection:
        for shape in shapes:
            c.refuses(
                f"HTTP shape {shape}", lambda: Infer("identity_fp32", [tensor(shape, row)]).send(connection), "400"
            )
        for size in (2**63, 2**64, -1, 1e3, "64"):
            asked = Infer("identity_fp32", [tensor([1, 16], row)])
            head = asked.head()
            head["inputs"][0]["parameters"]["binary_data_size"] = size
            encoded = json.dumps(head).encode()
            headers = {"Inference-Header-Content-Length": str(len(encoded))}
            path = "/v2/models/identity_fp32/infer"
            c.refuses(
                f"HTTP binary_data_size {size!r}",
                lambda: connection.request("POST", path, headers, encoded + row),
                "400",
            )
    with c.stub() as stub:
        for shape in shapes:
            if max(shape) < 2**63:
                c.refuses(
                    f"gRPC shape {shape}",
                    lambda: stub.infer(infer_request("identity_fp32", [tensor(shape, row)])),
                    "INVALID_ARGUMENT",
                )


def paths_and_methods(c):
    """Unknown paths and wrong methods are 404 and 405, in JSON."""
    with c.raw() as connection:
        for method, path, wanted in (
            ("GET", "/v2/nonsense", "404"),
            ("GET", "/nonsense", "404"),
            ("GET", f"/v2/models/{UNKNOWN}", "404"),
            ("GET", "/v2/models/add_sub/versions/7", "404"),
            ("GET", "/v2/models/add_sub/versions/x", "404 400"),
            ("POST", f"/v2/models/{UNKNOWN}/infer", "404 400"),
            ("GET", "/v2/models/add_sub/infer", "405"),
            ("POST", "/v2/health/live", "405"),
            ("DELETE", "/v2/models/add_sub", "405"),
        ):
            c.refuses(f"{method} {path}", lambda: connection.request(method, path), wanted)


CHECKS = [wrong_inputs, malformed, header_lengths, sizes_that_overflow, paths_and_methods]
