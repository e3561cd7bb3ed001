"""Wrong bytes by the ten thousand: mutated requests of the binary extension over HTTP, and mutated messages over gRPC.

    fuzz.py --http 127.0.0.1:8000 --grpc 127.0.0.1:8001 --count 50000 [--picture-model nano] [--seed 7]
    fuzz.py --maskline target/release/maskline --count 50000

What must hold: no status of 5xx but a declared 503 (over gRPC: no UNKNOWN, INTERNAL or DATA_LOSS), every answer is
whole HTTP, the server lives and is ready, and a known request of each protocol still gets the right answer, looked at
every 500 requests. A run is repeated by its seed; what breaks is written to `--keep FOLDER` as bytes.

The native REST API is tried by schemathesis from its own document:

    fuzz.py --maskline target/release/maskline --openapi --examples 200
"""

import argparse
import contextlib
import json
import random
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

import grpc
import numpy

import graphs
import mutations
import pictures
import processes
from clients import infer_request
from wire import Connection, Infer, Tensor, outputs_of

INFER = "/inference.GRPCInferenceService/ModelInfer"
METHODS = (
    "ModelInfer",
    "ModelMetadata",
    "ModelConfig",
    "ModelStatistics",
    "ModelReady",
    "RepositoryIndex",
    "RepositoryModelLoad",
)
# What says that a server did not expect what it got. RESOURCE_EXHAUSTED, UNAVAILABLE and UNIMPLEMENTED are declared.
BROKEN_CODES = ("UNKNOWN", "INTERNAL", "DATA_LOSS")
ROW = numpy.arange(16, dtype="<f4").tobytes()


def corpus(picture_model):
    """Valid questions: tensors of several types and sizes, two inputs, and a picture if there is a model for it."""
    asked = [
        Infer("identity_fp32", [Tensor("INPUT", "FP32", [1, 16], ROW)], ["OUTPUT"]),
        Infer("identity_int64", [Tensor("INPUT", "INT64", [2, 4], ROW)]),
        Infer("identity_bool", [Tensor("INPUT", "BOOL", [1, 3], b"\x01\x00\x01")]),
        Infer("identity_fp16", [Tensor("INPUT", "FP16", [4, 8], ROW)]),
        Infer("add_sub", [Tensor("INPUT0", "FP32", [1, 16], ROW), Tensor("INPUT1", "FP32", [1, 16], ROW)], ["OUTPUT1"]),
        Infer(
            "identity_fp32",
            [Tensor("INPUT", "FP32", [1, 2000], bytes(8000))],
            extra={"id": "7", "parameters": {"priority": 1}},
        ),
    ]
    if picture_model:
        small = pictures.picture(width=48, height=32, form="PNG")
        asked += [pictures.click(picture_model, small), pictures.detect(picture_model, small, ["a disc", "car"])]
    return asked


class Http:
    """The binary extension, byte by byte."""

    name = "HTTP"

    def __init__(self, address, asked, drawn, declared):
        self.address = address
        self.connection = Connection(address.http, timeout=20)
        self.asked = asked
        self.drawn = drawn
        self.declared = declared

    def wrong(self):
        """A mutated request: bytes."""
        return mutations.http_request(self.drawn.choice(self.asked), self.connection, self.drawn)

    def send(self, message):
        """What became of it, and whether that is a breach.

        A message may promise more bytes than it has; its end is then said by closing this side, after which a server answers or hangs
        up. One that is whole is not closed: a server may rightly take that for a client that has gone.
        """
        self.connection.open()
        try:
            self.connection.socket.sendall(message)
            if not mutations.is_whole(message) and not select.select([self.connection.socket], [], [], 0.03)[0]:
                self.connection.socket.shutdown(socket.SHUT_WR)
            answer = self.connection.read_answer(is_head=message.startswith(b"HEAD "))
        except TimeoutError:
            return "no answer within 20 s", True
        except (ConnectionError, BrokenPipeError):
            return "closed", False
        except ValueError as error:
            return f"not HTTP: {error}", True
        finally:
            self.connection.close()
        return str(answer.status), answer.status >= 500 and answer.status not in self.declared

    def known(self):
        """Whether a known request gets the right answer."""
        connection = Connection(self.address.http, timeout=60)
        try:
            answer = self.asked[0].send(connection)
            return answer.status == 200 and outputs_of(answer)["OUTPUT"][2] == ROW
        finally:
            connection.close()


class Grpc:
    """Mutated messages in whole gRPC frames: what reaches the server's decoder and what comes after it."""

    name = "gRPC"

    def __init__(self, address, asked, drawn, _declared):
        self.channel = grpc.insecure_channel(address.grpc)
        self.asked = [infer_request(one.model, one.inputs) for one in asked]
        self.known_message = self.asked[0].SerializeToString()
        self.drawn = drawn
        self.calls = {}

    def wrong(self):
        """A mutated message: the method's name, a line end, and bytes."""
        method = "ModelInfer" if self.drawn.random() < 0.9 else self.drawn.choice(METHODS)
        message = mutations.grpc_message(self.drawn.choice(self.asked), self.drawn)
        return method.encode() + b"\n" + message

    def send(self, message):
        """What became of it, and whether that is a breach."""
        method, message = message.split(b"\n", 1)
        path = f"/inference.GRPCInferenceService/{method.decode()}"
        if path not in self.calls:
            self.calls[path] = self.channel.unary_unary(path, lambda sent: sent, lambda received: received)
        try:
            self.calls[path](message, timeout=20)
        except grpc.RpcError as error:
            code = error.code().name
            return code, code == "DEADLINE_EXCEEDED" or (code in BROKEN_CODES and not is_decoding(error))
        return "OK", False

    def known(self):
        """Whether a known request gets the right answer."""
        call = self.channel.unary_unary(INFER, lambda sent: sent, lambda received: received)
        return ROW in call(self.known_message, timeout=60)


def is_decoding(error):
    """Whether the framework itself says that bytes are no message: gRPC's libraries use INTERNAL for that."""
    said = (error.details() or "").lower()
    return error.code() == grpc.StatusCode.INTERNAL and any(
        word in said for word in ("decode", "parse", "deserializ", "protobuf")
    )


def fuzz(address, arguments):
    """The loop: whether all held."""
    drawn = random.Random(arguments.seed)
    asked = corpus(arguments.picture_model)
    protocols = [kind(address, asked, drawn, arguments.declared) for kind in (Http, Grpc)]
    outcomes, breaches, start = Counter(), [], time.monotonic()
    for number in range(arguments.count):
        protocol = protocols[number % 2]
        message = protocol.wrong()
        try:
            outcome, is_breach = protocol.send(message)
        except OSError as error:
            outcome, is_breach = f"no connection: {error}", True
        outcomes[f"{protocol.name} {outcome}"] += 1
        if is_breach:
            breaches.append(f"request {number}: {protocol.name} {outcome}")
            print(breaches[-1], flush=True)
            keep(arguments.keep, number, message)
        if number % 500 == 499 or is_breach:
            breaches += alive(address, protocols, number)
        if len(breaches) >= 20:
            break
    breaches += alive(address, protocols, arguments.count)
    print(f"{sum(outcomes.values())} requests in {time.monotonic() - start:.0f} s, seed {arguments.seed}")
    for outcome, count in outcomes.most_common():
        print(f"  {count:6} {outcome}")
    print(f"{len(breaches)} breaches" + "".join(f"\n  {breach}" for breach in breaches))
    return not breaches


def alive(address, protocols, number):
    """What does not hold of the server after a request: it lives, is ready, and answers a known request rightly."""
    broken = []
    if address.pid and not processes.is_alive(address.pid):
        raise SystemExit(f"after request {number}: the server is dead")
    if not processes.is_ready(address.http):
        broken.append(f"after request {number}: not ready")
    for protocol in protocols:
        try:
            if not protocol.known():
                broken.append(f"after request {number}: {protocol.name}: a known request got a wrong answer")
        except (OSError, grpc.RpcError, ValueError) as error:
            broken.append(
                f"after request {number}: {protocol.name}: a known request failed: {type(error).__name__} {error}"
            )
    return broken


def keep(folder, number, message):
    """The bytes of what broke something."""
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"request-{number}.bin").write_bytes(message)


def one_type_each(schema):
    """The same schema with `anyOf` in place of lists of types, at which schemathesis' own analysis breaks off."""
    if isinstance(schema, list):
        return [one_type_each(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: one_type_each(part) for key, part in schema.items()}
    kinds = schema.get("type")
    if not isinstance(kinds, list):
        return schema
    rest = {key: part for key, part in schema.items() if key != "type"}
    return {"anyOf": [{"type": "null"} if kind == "null" else {**rest, "type": kind} for kind in kinds]}


def openapi(address, arguments):
    """schemathesis on the server's own document: no undeclared status, and answers as the document says."""
    binary = shutil.which("schemathesis", path=str(Path(sys.executable).parent)) or shutil.which("schemathesis")
    if binary is None:
        raise SystemExit("schemathesis is not installed: pip install -r requirements.txt")
    base = f"http://{address.http}"
    with urllib.request.urlopen(f"{base}/openapi.json", timeout=20) as answer:
        document = one_type_each(json.load(answer))
    command = [binary, "run", "openapi.json", "--url", base, "--max-examples", str(arguments.examples)]
    command += [
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
    ]
    command += ["--seed", str(arguments.seed), "--no-color"]
    if arguments.skip_operations:
        command += ["--exclude-path-regex", arguments.skip_operations]
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "openapi.json").write_text(json.dumps(document))
        done = subprocess.run(command, cwd=scratch, check=False)
    return done.returncode == 0 and processes.is_ready(address.http)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maskline", metavar="BINARY", help="start this maskline's server")
    parser.add_argument("--http", default="127.0.0.1:8000")
    parser.add_argument("--grpc", default="127.0.0.1:8001")
    parser.add_argument("--pid", type=int)
    parser.add_argument("--picture-model", help="also mutate pictures and prompts for this model")
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep", metavar="FOLDER")
    parser.add_argument(
        "--declared", type=int, nargs="+", default=[503], help="statuses of 5xx that are no breach (Triton: 503 500)"
    )
    parser.add_argument("--openapi", action="store_true", help="schemathesis on /openapi.json instead")
    parser.add_argument("--examples", type=int, default=200, help="of schemathesis, per operation")
    parser.add_argument(
        "--skip-operations", metavar="REGEX", help="paths that schemathesis leaves alone, such as an unload"
    )
    parser.add_argument("--log", help="file for what the started server says")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if arguments.maskline:
            arguments.picture_model = arguments.picture_model or "nano"
            flags = graphs.write(stack.enter_context(tempfile.TemporaryDirectory(prefix="graphs-")))
            # A message that is cut off behind `Expect: 100-continue` is told 408 while the fuzzer still waits.
            flags += ["--client-timeout", "5s"]
            address = stack.enter_context(
                processes.maskline(arguments.maskline, [arguments.picture_model, *flags], arguments.log)
            )
        else:
            address = processes.Address(arguments.http, arguments.grpc, arguments.pid)
        held = (openapi if arguments.openapi else fuzz)(address, arguments)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
