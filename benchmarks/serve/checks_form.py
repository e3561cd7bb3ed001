"""Checks 1 to 14: what the server says of itself, and forms of requests and answers."""

import json
import math

import numpy

import pictures
from clients import infer_request, raw_array
from wire import Infer, Tensor, outputs_of, post_json, unpacked

UNKNOWN = "no_such_model"
NUMBERS = {
    "fp32": [0.0, -1.5, math.inf, 3.4e38],
    "fp16": [0.0, -1.5, math.inf, 65504],
    "fp64": [0.0, -1.5, -math.inf, 1.7e308],
    "bool": [True, False, False, True],
    "int8": [-128, 127, 0, -1],
    "int16": [-(2**15), 2**15 - 1, 0, -1],
    "int32": [-(2**31), 2**31 - 1, 0, -1],
    "int64": [-(2**63), 2**63 - 1, 0, -1],
    "uint8": [0, 255, 1, 2],
    "uint16": [0, 2**16 - 1, 1, 2],
    "uint32": [0, 2**32 - 1, 1, 2],
    "uint64": [0, 2**64 - 1, 1, 2],
}
NUMPY = {"fp32": "float32", "fp16": "float16", "fp64": "float64", "bool": "bool"}


def floats(count=16, rows=1):
    """f32 [rows, count] of numbers that differ."""
    return numpy.arange(rows * count, dtype=numpy.float32).reshape(rows, count)


def tensor(shape, data, datatype="FP32", name="INPUT"):
    """A tensor whose parts need not fit."""
    return Tensor(name, datatype, list(shape), data)


def infer_json(connection, model, body):
    """A POST of JSON to a model."""
    return post_json(connection, f"/v2/models/{model}/infer", body)


def json_input(data, shape, datatype="FP32", name="INPUT"):
    """An input in JSON."""
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def live_and_ready(c):
    """Live, ready, ready by model; an unknown model is refused over HTTP and not ready over gRPC."""
    for client in c.clients:
        for method in ("is_server_live", "is_server_ready"):
            c.expect(client.call(method) is True, f"{client.name} {method}")
        c.expect(client.call("is_model_ready", "add_sub") is True, f"{client.name} is_model_ready")
        c.expect(client.call("is_model_ready", UNKNOWN) is False, f"{client.name} says that an unknown model is ready")
    with c.raw() as connection:
        c.refuses(
            "ready of an unknown model", lambda: connection.request("GET", f"/v2/models/{UNKNOWN}/ready"), "400 404"
        )
        if c.against == "maskline":
            for path, key in (("live", "live"), ("ready", "ready")):
                answer = connection.request("GET", f"/v2/health/{path}")
                c.expect(
                    answer.json() == {key: True},
                    f"/v2/health/{path}: KServe's client reads JSON, not {answer.body[:60]}",
                )


def server_metadata(c):
    """Name, version and a list of extensions, as perf_analyzer reads them."""
    for client in c.clients:
        found = client.dictionary("get_server_metadata")
        c.expect(isinstance(found.get("extensions"), list), f"{client.name}: extensions {found.get('extensions')}")
        for extension in ("binary_tensor_data", "statistics", "model_repository", "model_configuration"):
            c.expect(extension in found.get("extensions", []), f"{client.name}: no extension {extension}")
        c.expect(bool(found.get("name")) and bool(found.get("version")), f"{client.name}: name or version is missing")


def model_metadata(c):
    """Inputs and outputs of a model; unknown models and versions are not found."""
    for client in c.clients:
        found = client.dictionary("get_model_metadata", "add_sub")
        inputs = {one["name"]: one["datatype"] for one in found["inputs"]}
        c.expect(inputs == {"INPUT0": "FP32", "INPUT1": "FP32"}, f"{client.name}: inputs {inputs}")
        shape = [int(size) for size in found["inputs"][0]["shape"]]
        c.expect(shape == [-1, 16], f"{client.name}: shape {shape}")
        outputs = [one["name"] for one in found["outputs"]]
        c.expect(sorted(outputs) == ["OUTPUT0", "OUTPUT1"], f"{client.name}: outputs {outputs}")
        c.expect(found.get("versions"), f"{client.name}: no versions")
        version = found["versions"][-1]
        c.expect(
            client.dictionary("get_model_metadata", "add_sub", version)["name"] == "add_sub",
            f"{client.name}: by version",
        )
        wanted = "NOT_FOUND" if client.is_grpc else "404"
        c.refuses(f"{client.name} unknown model", lambda: client.call("get_model_metadata", UNKNOWN), wanted)
        c.refuses(f"{client.name} unknown version", lambda: client.call("get_model_metadata", "add_sub", "7"), wanted)
        c.refuses(
            f"{client.name} infer of an unknown model", lambda: client.infer(UNKNOWN, {"INPUT": floats()}), wanted
        )
        c.refuses(
            f"{client.name} infer of an unknown version",
            lambda: client.infer("identity_fp32", {"INPUT": floats()}, model_version="7"),
            wanted,
        )


def model_config(c):
    """A model's configuration on both protocols: the largest batch, and types by Triton's names."""
    for client in c.clients:
        found = client.dictionary("get_model_config", "add_sub")
        found = found.get("config", found)
        c.expect(found.get("name") == "add_sub", f"{client.name}: name {found.get('name')}")
        c.expect(
            int(found.get("max_batch_size", 0)) >= 0, f"{client.name}: max_batch_size {found.get('max_batch_size')}"
        )
        types = {one["data_type"] for one in found["input"] + found["output"]}
        c.expect(types == {"TYPE_FP32"}, f"{client.name}: types {types}")


def json_flat_and_nested(c):
    """Data in JSON as one list or as lists of lists."""
    rows = floats(16, 2)
    with c.raw() as connection:
        for form, data in (("flat", rows.reshape(-1).tolist()), ("nested", rows.tolist())):
            answer = infer_json(connection, "identity_fp32", {"inputs": [json_input(data, [2, 16])]})
            if c.expect(answer.status == 200, f"{form}: {answer.status} {answer.error()}"):
                output = answer.json()["outputs"][0]
                found = numpy.array(output["data"], numpy.float32).reshape(output["shape"])
                c.expect(numpy.array_equal(found, rows), f"{form}: other numbers")
                c.expect("binary_data_size" not in output.get("parameters", {}), f"{form}: binary_data_size on JSON")
        ragged = rows.tolist()
        ragged[1] = ragged[1][:-1]
        c.refuses(
            "ragged lists",
            lambda: infer_json(connection, "identity_fp32", {"inputs": [json_input(ragged, [2, 16])]}),
            "400",
        )


def binary_and_json_mixed(c):
    """Each input and each output by itself in binary or JSON."""
    a, b = floats(16, 2), floats(16, 2) + 0.5
    for client in c.clients[:1] + c.clients[2:3]:
        for first in (True, False):
            for second in (True, False):
                inputs = [client.input("INPUT0", a, first), client.input("INPUT1", b, second)]
                outputs = [client.output("OUTPUT0", second), client.output("OUTPUT1", first)]
                result = client.call("infer", "add_sub", inputs, outputs=outputs)
                c.expect(numpy.array_equal(result.as_numpy("OUTPUT0"), a + b), f"{client.name} {first} {second}: sum")
                c.expect(
                    numpy.array_equal(result.as_numpy("OUTPUT1"), a - b), f"{client.name} {first} {second}: difference"
                )
                forms = ["binary_data_size" in one.get("parameters", {}) for one in result.get_response()["outputs"]]
                c.expect(sorted(forms) == sorted([first, second]), f"{client.name}: outputs in binary {forms}")


def outputs_left_out(c):
    """All outputs without a list, one with a list of one, in the order that was asked."""
    a, b = floats(), floats() + 0.5
    for client in c.clients:
        result = client.infer("add_sub", {"INPUT0": a, "INPUT1": b})
        c.expect(numpy.array_equal(result.as_numpy("OUTPUT0"), a + b), f"{client.name}: OUTPUT0")
        c.expect(numpy.array_equal(result.as_numpy("OUTPUT1"), a - b), f"{client.name}: OUTPUT1")
        result = client.infer("add_sub", {"INPUT0": a, "INPUT1": b}, outputs=["OUTPUT1"])
        c.expect(result.as_numpy("OUTPUT0") is None, f"{client.name}: OUTPUT0 was not asked for")
        c.expect(numpy.array_equal(result.as_numpy("OUTPUT1"), a - b), f"{client.name}: OUTPUT1 alone")


def raw_body(c):
    """A header length of 0: the body is the one input, of batch 1."""
    row = floats()
    headers = {"Inference-Header-Content-Length": "0", "Content-Type": "application/octet-stream"}
    with c.raw() as connection:
        answer = connection.request("POST", "/v2/models/slow/infer", headers, row.tobytes())
        if c.expect(answer.status == 200, f"{answer.status} {answer.error()}"):
            output = answer.json()["outputs"][0]
            if "data" in output:
                found = numpy.array(output["data"], numpy.float32)
            else:
                found = numpy.frombuffer(outputs_of(answer)["OUTPUT"][2], "<f4")
            c.expect(output["shape"] == [1, 16], f"shape {output['shape']}")
            c.expect(numpy.array_equal(found.reshape(1, 16), row), "other numbers")
        half, path = row.tobytes()[:-2], "/v2/models/slow/infer"
        c.refuses("raw body of half a number", lambda: connection.request("POST", path, headers, half), "400")
        path = "/v2/models/add_sub/infer"
        c.refuses(
            "raw body for two inputs", lambda: connection.request("POST", path, headers, row.tobytes() * 2), "400"
        )


def id_comes_back(c):
    """The id of a request, and none where it is empty (perf_analyzer sends "")."""
    for client in c.clients:
        for sent in ("anything 7", ""):
            response = client.infer("identity_fp32", {"INPUT": floats()}, request_id=sent).get_response()
            found = response.id if client.is_grpc else response.get("id", "")
            c.expect(found == sent, f"{client.name}: id {found!r} for {sent!r}")
    with c.raw() as connection:
        answer = infer_json(connection, "identity_fp32", {"id": "", "inputs": [json_input(floats().tolist(), [1, 16])]})
        c.expect(answer.status == 200, f"empty id: {answer.status} {answer.error()}")


def every_type(c):
    """Every number type with its extremes, in binary, JSON and over gRPC; BYTES through a model that takes them."""
    for name, numbers in NUMBERS.items():
        values = numpy.array([numbers], NUMPY.get(name, name))
        for client in c.clients:
            for binary in (True, False):
                if not binary and (client.is_grpc or name == "fp16" or not numpy.isfinite(values).all()):
                    continue  # JSON has neither infinities nor, in this client, half floats
                result = client.infer(f"identity_{name}", {"INPUT": values}, binary=binary).as_numpy("OUTPUT")
                same = result is not None and result.dtype == values.dtype and result.tobytes() == values.tobytes()
                c.expect(same, f"{client.name} {name} binary={binary}: {result} for {values}")
    if c.against == "triton":
        texts = numpy.array([[b"", b"\x00\xff", "Stra\u00dfe".encode()]], numpy.object_)
        for client in c.clients:
            result = client.infer("identity_bytes", {"INPUT": texts}).as_numpy("OUTPUT")
            c.expect(result.tolist() == texts.tolist(), f"{client.name} bytes: {result}")
    if c.picture_model:
        bytes_through_a_picture_model(c)


def bytes_through_a_picture_model(c):
    """A picture and a click in; masks as BYTES out, the same from each client."""
    of = pictures.picture()
    feeds = {
        "image": numpy.array([of.encoded], numpy.object_),
        "points": numpy.array([[of.x, of.y]], numpy.float32),
        "labels": numpy.array([1], numpy.int64),
    }
    seen = set()
    for client in c.clients:
        result = client.infer(c.picture_model, feeds)
        masks = [json.loads(mask) for mask in result.as_numpy("masks")]
        boxes, scores = result.as_numpy("boxes"), result.as_numpy("scores")
        c.expect(
            len(masks) >= 1 and boxes.shape == (len(masks), 4) and scores.shape == (len(masks),),
            f"{client.name}: {boxes.shape}",
        )
        for mask in masks:
            c.expect(mask.get("size") == [of.height, of.width], f"{client.name}: size {mask.get('size')}")
        seen.add(json.dumps([masks, boxes.tolist(), scores.tolist()]))
        inputs = [client.input(name, values) for name, values in feeds.items()]
        alone = client.call("infer", c.picture_model, inputs, outputs=[client.output("masks", binary=False)])
        texts = [text.decode() if isinstance(text, bytes) else text for text in alone.as_numpy("masks")]
        c.expect([json.loads(text) for text in texts] == masks, f"{client.name}: masks alone, in JSON: {texts[:1]}")
        c.expect(alone.as_numpy("boxes") is None, f"{client.name}: boxes were not asked for")
    c.expect(len(seen) == 1, f"{len(seen)} different answers from four clients")
    with c.raw() as connection:
        asked = pictures.click(c.picture_model, of)
        masks = unpacked(outputs_of(asked.send(connection))["masks"][2])
        c.expect(json.dumps([json.loads(mask) for mask in masks]) in next(iter(seen)), "raw: other masks")


def zero_size(c):
    """No rows, and rows of no numbers."""
    for client in c.clients:
        empty = numpy.zeros((1, 0), numpy.float32)
        result = client.infer("identity_fp32", {"INPUT": empty}).as_numpy("OUTPUT")
        c.expect(result is not None and result.shape == (1, 0), f"{client.name}: {result}")
    with c.raw() as connection:
        answer = infer_json(connection, "identity_fp32", {"inputs": [json_input([], [1, 0])]})
        c.expect(
            answer.status == 200 and answer.json()["outputs"][0]["shape"] == [1, 0],
            f"JSON: {answer.status} {answer.error()}",
        )
        answer = Infer("identity_fp32", [tensor([1, 0], b"")]).send(connection)
        c.expect(answer.status == 200, f"binary: {answer.status} {answer.error()}")


def compression(c):
    """gzip and deflate in both directions."""
    rows = numpy.zeros((1, 20000), numpy.float32)
    rows[0, :100] = numpy.arange(100)
    for client in c.clients:
        for way in ("gzip", "deflate"):
            if client.is_grpc:
                options = {"compression_algorithm": way}
            else:
                options = {"request_compression_algorithm": way, "response_compression_algorithm": way}
            result = client.infer("identity_fp32", {"INPUT": rows}, **options).as_numpy("OUTPUT")
            c.expect(numpy.array_equal(result, rows), f"{client.name} {way}: other numbers")
    with c.raw() as connection:
        for way in ("gzip", "deflate"):
            answer = Infer("identity_fp32", [tensor([1, 20000], rows.tobytes())]).send(
                connection, {"Accept-Encoding": way}
            )
            c.expect(
                answer.headers.get("content-encoding") == way,
                f"{way}: answered as {answer.headers.get('content-encoding')}",
            )
        headers = {"Content-Encoding": "gzip", "Inference-Header-Content-Length": "10"}
        path = "/v2/models/identity_fp32/infer"
        c.refuses("a body that is not gzip", lambda: connection.request("POST", path, headers, b"nothing of it"), "400")


def grpc_typed_and_raw(c):
    """gRPC takes numbers in their typed fields or raw, not both; it answers raw."""
    row = floats()
    with c.stub() as stub:
        request = infer_request("identity_fp32", [])
        request.inputs.add(name="INPUT", datatype="FP32", shape=[1, 16]).contents.fp32_contents.extend(row[0].tolist())
        c.expect(numpy.array_equal(raw_array(stub.infer(request)), row), "typed: other numbers")
        fields = {
            "bool": "bool_contents",
            "int8": "int_contents",
            "int16": "int_contents",
            "int32": "int_contents",
            "int64": "int64_contents",
            "uint8": "uint_contents",
            "uint16": "uint_contents",
            "uint32": "uint_contents",
            "uint64": "uint64_contents",
            "fp64": "fp64_contents",
        }
        for name, field in fields.items():
            values = numpy.array(NUMBERS[name], NUMPY.get(name, name))
            typed = infer_request(f"identity_{name}", [])
            added = typed.inputs.add(name="INPUT", datatype=name.upper(), shape=[1, 4])
            getattr(added.contents, field).extend(values.tolist())
            found = stub.infer(typed).raw_output_contents[0]
            c.expect(found == values.tobytes(), f"typed {name}: {found.hex()}")
        request.raw_input_contents.append(row.tobytes())
        c.refuses("typed and raw at once", lambda: stub.infer(request), "INVALID_ARGUMENT")
        outside = infer_request("identity_int8", [])
        outside.inputs.add(name="INPUT", datatype="INT8", shape=[1, 1]).contents.int_contents.append(300)
        if c.against == "maskline":
            c.refuses("a number outside its type", lambda: stub.infer(outside), "INVALID_ARGUMENT")
        if c.picture_model:
            of = pictures.picture()
            typed = infer_request(c.picture_model, [])
            typed.inputs.add(name="image", datatype="BYTES", shape=[1]).contents.bytes_contents.append(of.encoded)
            typed.inputs.add(name="points", datatype="FP32", shape=[1, 2]).contents.fp32_contents.extend([of.x, of.y])
            typed.inputs.add(name="labels", datatype="INT64", shape=[1]).contents.int64_contents.append(1)
            c.expect(stub.infer(typed).outputs, "typed BYTES: no outputs")


def large_messages(c):
    """20 MB each way on both protocols."""
    row = numpy.random.default_rng(7).random((1, 5_000_000), numpy.float32)
    for client in c.clients:
        result = client.infer("identity_fp32", {"INPUT": row}).as_numpy("OUTPUT")
        c.expect(numpy.array_equal(result, row), f"{client.name}: other numbers")


CHECKS = [
    live_and_ready,
    server_metadata,
    model_metadata,
    model_config,
    json_flat_and_nested,
    binary_and_json_mixed,
    outputs_left_out,
    raw_body,
    id_comes_back,
    every_type,
    zero_size,
    compression,
    grpc_typed_and_raw,
    large_messages,
]
