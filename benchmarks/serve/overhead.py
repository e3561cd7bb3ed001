"""What a server adds to a model that does nothing: ours against Triton 2.51 in one run, in turns A B A B.

    overhead.py --maskline target/release/maskline              identity of 64 B and 3 MB, over HTTP and gRPC
    overhead.py --maskline target/release/maskline --click      a click on a picture that the server knows, less its decoder
    overhead.py --only-triton                                   Triton against itself: what the method takes for a difference

Both servers run at once and are asked in turns by the same code, so that a noisy machine is noisy for both. Clients: a
raw socket and gRPC on bytes made before, whose own time is small, and tritonclient. `total` is what the client waits.
`outside` is that less the model's own time as the server's statistics tell it (compute_input, compute_infer,
compute_output): Triton's model is a Python process, and its cost is none of the protocol's. Ratios are ours to
Triton's, medians over rounds with a 95 % interval by resampling. Exit status 1 where the whole interval of a ratio of
totals lies above 1, or a click takes more than `--click-limit` beyond its decoder.
"""

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field

import grpc
import numpy
import tritonclient.grpc
import tritonclient.http

import graphs
import measure
import pictures
import processes
import triton
from clients import LARGEST_MESSAGE, infer_request
from wire import Connection, Infer, Tensor, outputs_of, post_json

MODEL = "identity_fp32"
SIZES = {"64 B": 16, "3 MB": 786_432}


class RawHttp:
    """A kept connection and a message made before."""

    name = "HTTP, raw"

    def __init__(self, address, row):
        self.connection = Connection(address.http)
        self.message = Infer(MODEL, [Tensor("INPUT", "FP32", list(row.shape), row.tobytes())], ["OUTPUT"]).message(
            self.connection
        )
        self.expected = row.tobytes()

    def ask(self):
        """One request."""
        return self.connection.exchange(self.message)

    def right(self, answer):
        """Whether it is the input."""
        return answer.status == 200 and outputs_of(answer)["OUTPUT"][2] == self.expected


class RawGrpc:
    """A channel without messages: bytes made before, and bytes back."""

    name = "gRPC, raw"

    def __init__(self, address, row):
        options = [
            ("grpc.max_receive_message_length", LARGEST_MESSAGE),
            ("grpc.max_send_message_length", LARGEST_MESSAGE),
        ]
        self.channel = grpc.insecure_channel(address.grpc, options=options)
        self.call = self.channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer", lambda sent: sent, lambda received: received
        )
        self.message = infer_request(
            MODEL, [Tensor("INPUT", "FP32", list(row.shape), row.tobytes())]
        ).SerializeToString()
        self.expected = row.tobytes()

    def ask(self):
        """One request."""
        return self.call(self.message, timeout=60)

    def right(self, answer):
        """Whether it holds the input."""
        return self.expected in answer


class TritonClient:
    """PyPI's tritonclient, over one of the protocols."""

    def __init__(self, address, row, module):
        self.client = module.InferenceServerClient(address.grpc if module is tritonclient.grpc else address.http)
        self.input = module.InferInput("INPUT", list(row.shape), "FP32")
        self.input.set_data_from_numpy(row)
        self.row = row

    def ask(self):
        """One request."""
        return self.client.infer(MODEL, [self.input])

    def right(self, answer):
        """Whether it is the input."""
        return numpy.array_equal(answer.as_numpy("OUTPUT"), self.row)


class TritonClientHttp(TritonClient):
    """tritonclient over HTTP."""

    name = "HTTP, tritonclient"

    def __init__(self, address, row):
        super().__init__(address, row, tritonclient.http)


class TritonClientGrpc(TritonClient):
    """tritonclient over gRPC."""

    name = "gRPC, tritonclient"

    def __init__(self, address, row):
        super().__init__(address, row, tritonclient.grpc)


@dataclass
class Series:
    """What one server took: the median of each round, and means over all for what statistics can tell."""

    client: object
    address: processes.Address
    medians: list[float] = field(default_factory=list)
    seconds: float = 0.0
    asked: int = 0
    computed: float = 0.0

    def round(self, count):
        """Asks so many times and keeps the times."""
        before = computed_seconds(self.address)
        times = []
        for _ in range(count):
            start = time.perf_counter()
            answer = self.client.ask()
            times.append(time.perf_counter() - start)
        if not self.client.right(answer):
            raise SystemExit(f"{self.client.name} at {self.address.http}: another answer than expected")
        self.computed += computed_seconds(self.address) - before
        self.medians.append(statistics.median(times))
        self.seconds += sum(times)
        self.asked += count

    def outside(self):
        """Mean seconds of a request outside its model."""
        return (self.seconds - self.computed) / self.asked


def computed_seconds(address):
    """What the server says that its model took so far, in all requests."""
    status, body = processes.get(address.http, f"/v2/models/{MODEL}/stats")
    if status != 200:
        raise SystemExit(f"statistics of {address.http}: {status}")
    stats = json.loads(body)["model_stats"][0]["inference_stats"]
    return sum(stats[part]["ns"] for part in ("compute_input", "compute_infer", "compute_output")) / 1e9


def compare(ours, theirs, arguments):
    """The table of all sizes and clients; whether ours is nowhere slower."""
    held = True
    print(
        "| size | client | ours, ms | Triton, ms | ratio of totals | outside: ours, ms | Triton, ms |\n|-|-|-|-|-|-|-|"
    )
    for size, count in SIZES.items():
        row = numpy.random.default_rng(3).random((1, count), numpy.float32)
        for kind in (RawHttp, TritonClientHttp, RawGrpc, TritonClientGrpc):
            series = [Series(kind(address, row), address) for address in (ours, theirs)]
            each = arguments.each if size == "64 B" else max(5, arguments.each // 10)
            for one in series:
                one.round(each)
                one.medians.clear()
                one.seconds, one.asked, one.computed = 0.0, 0, 0.0
            for number in range(arguments.rounds):
                for one in series if number % 2 else reversed(series):
                    one.round(each)
            found = measure.ratio(series[0].medians, series[1].medians)
            held &= found.low <= 1
            middle = [f"{statistics.median(one.medians) * 1e3:.3f}" for one in series]
            outside = [f"{one.outside() * 1e3:.3f}" for one in series]
            print(
                f"| {size} | {kind.name} | {middle[0]} | {middle[1]} | {found} | {outside[0]} | {outside[1]} |",
                flush=True,
            )
    return held


def click(address, arguments):
    """A click on a known picture: what the client waits, less the decoder, and less all stages that the answer tells."""
    connection = Connection(address.http)
    of = pictures.picture()
    ref = pictures.upload(connection, arguments.picture_model, of)
    totals, beyond_decoder, beyond_stages = [], [], []
    for number in range(arguments.clicks + 20):
        body = pictures.segment(arguments.picture_model, {"ref": ref}, of.x + number % 7, of.y)
        start = time.perf_counter()
        answer = post_json(connection, "/v1/segment", body)
        took = (time.perf_counter() - start) * 1e3
        if answer.status != 200:
            raise SystemExit(f"/v1/segment: {answer.status} {answer.error()}")
        timings = {name: value for name, value in answer.json()["timings_ms"].items() if isinstance(value, int | float)}
        if number < 20:
            continue
        totals.append(took)
        beyond_decoder.append(took - timings.get("mask_decode", 0.0))
        beyond_stages.append(took - sum(value for name, value in timings.items() if name != "total"))
    middle = statistics.median(beyond_decoder)
    print(f"click by reference, {arguments.picture_model}: total {statistics.median(totals):.2f} ms, beyond the decoder {middle:.2f} ms "
          f"(p99 {measure.quantile(beyond_decoder, 0.99):.2f}), beyond all stages {statistics.median(beyond_stages):.2f} ms")  # fmt: skip
    return middle <= arguments.click_limit


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maskline", metavar="BINARY", help="start this maskline's server")
    parser.add_argument("--http", help="ours, if it runs already")
    parser.add_argument("--grpc", help="ours, if it runs already")
    parser.add_argument("--only-triton", action="store_true", help="two Tritons")
    parser.add_argument("--click", action="store_true", help="clicks alone, without Triton")
    parser.add_argument("--picture-model", default="nano")
    parser.add_argument("--clicks", type=int, default=300)
    parser.add_argument("--click-limit", type=float, default=2.0, metavar="MS")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--each", type=int, default=100, help="requests of 64 B per round and server; a tenth of 3 MB")
    arguments = parser.parse_args()
    if not (arguments.maskline or arguments.http or arguments.only_triton):
        parser.error("--maskline, --http or --only-triton")
    with contextlib.ExitStack() as stack:
        if arguments.only_triton:
            ours = stack.enter_context(triton.running(models=[MODEL]))
        elif arguments.maskline:
            flags = graphs.write(stack.enter_context(tempfile.TemporaryDirectory(prefix="graphs-")), only=[MODEL])
            models = [arguments.picture_model] if arguments.click else []
            ours = stack.enter_context(processes.maskline(arguments.maskline, models + flags))
        else:
            ours = processes.Address(arguments.http, arguments.grpc)
        if arguments.click:
            held = click(ours, arguments)
        else:
            theirs = stack.enter_context(triton.running(models=[MODEL]))
            held = compare(ours, theirs, arguments)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
