"""Three replicas behind Debian's haproxy, one of which gets SIGTERM under load: no request fails, over HTTP or gRPC.

    haproxy.py --maskline target/release/maskline       (apt-get install haproxy)
    haproxy.py --triton                                 the same with Triton's replicas

The configuration is haproxy.cfg, with its ports replaced by free ones. Load is an open loop over HTTP at half of what
the three can do, and a few callers over gRPC at the same time. Exit status 1 where a request is not answered rightly,
or the replica does not end with 0.
"""

import argparse
import asyncio
import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import grpc

import graphs
import load
import open_loop
import processes
import triton
from clients import Refused, Stub, infer_request
from questions import Maker
from wire import Tensor

HERE = Path(__file__).parent
MODEL = "identity_fp32"


def configuration(replicas, front):
    """The text of haproxy.cfg with the ports of these replicas, and of the front."""
    text = (HERE / "haproxy.cfg").read_text()
    ports = {"9000": front.http, "9001": front.grpc}
    for place, replica in enumerate(replicas):
        ports |= {f"80{place}0": replica.http, f"80{place}1": replica.grpc}
    ports = {old: address.rsplit(":", 1)[1] for old, address in ports.items()}
    return re.sub(r"(127\.0\.0\.1:|port )(\d{4})\b", lambda found: found[1] + ports[found[2]], text)


@contextlib.contextmanager
def haproxy(replicas):
    """haproxy before these replicas: gives its address once it forwards."""
    binary = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    if binary is None:
        raise SystemExit("haproxy is not installed: apt-get install haproxy")
    front = processes.Address(f"127.0.0.1:{processes.free_port()}", f"127.0.0.1:{processes.free_port()}")
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        file.write(configuration(replicas, front))
        file.flush()
        subprocess.run([binary, "-c", "-q", "-f", file.name], check=True)
        process = subprocess.Popen([binary, "-f", file.name, "-db"], stderr=subprocess.DEVNULL)
        try:
            processes.wait_until_ready(front, process, seconds=30)
            # Checks of all replicas, on both protocols, take two rounds.
            time.sleep(2)
            yield front
        finally:
            process.terminate()
            process.wait(20)


class GrpcCallers:
    """A few threads that ask over gRPC until they are told to stop."""

    def __init__(self, front, count):
        self.stop = threading.Event()
        self.answered = 0
        self.failures = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=[front]) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, front):
        """One caller, with a channel of its own."""
        row = bytes(range(64))
        request = infer_request(MODEL, [Tensor("INPUT", "FP32", [1, 16], row)])
        stub = Stub(front)
        while not self.stop.is_set():
            try:
                right = stub.infer(request).raw_output_contents[0] == row
            except (Refused, grpc.RpcError) as error:
                right = error
            with self.lock:
                if right is True:
                    self.answered += 1
                else:
                    self.failures.append(str(right))
            time.sleep(0.01)
        stub.close()

    def end(self):
        """Waits for the last answers."""
        self.stop.set()
        for thread in self.threads:
            thread.join(60)


def replicas_of(arguments, stack):
    """Three servers: their addresses."""
    if arguments.triton:
        return [stack.enter_context(triton.running(models=[MODEL])) for _ in range(3)], None
    flags = graphs.write(stack.enter_context(tempfile.TemporaryDirectory(prefix="graphs-")), only=[MODEL])
    servers = [processes.Server(arguments.maskline, [*flags, *arguments.also]) for _ in range(3)]
    for server in servers:
        stack.callback(server.end)
    return [server.wait_until_ready() for server in servers], servers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maskline", metavar="BINARY", help="this maskline's servers")
    parser.add_argument("--also", action="append", default=[], metavar="ARGUMENT", help="more for `maskline serve`")
    parser.add_argument("--triton", action="store_true", help="Triton's instead")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--callers", type=int, default=2, help="over gRPC (default %(default)s)")
    parser.add_argument("--share", type=float, default=0.5, help="of the capacity that the open loop asks for")
    arguments = parser.parse_args()
    if not arguments.maskline and not arguments.triton:
        parser.error("--maskline or --triton")
    bounds = load.Bounds()
    with contextlib.ExitStack() as stack:
        replicas, servers = replicas_of(arguments, stack)
        front = stack.enter_context(haproxy(replicas))
        maker = Maker(front.http)
        questions = [maker.tensor(MODEL) for _ in range(64)]
        rate = open_loop.closed(front, questions, callers=4, seconds=3).counts["accepted"] / 3
        print(f"capacity through haproxy: {rate:.0f}/s", flush=True)
        callers = GrpcCallers(front, arguments.callers)
        ended = functools.partial(os.kill, replicas[0].pid, signal.SIGTERM)
        loop = open_loop.Loop(
            front, questions, arguments.share * rate, arguments.seconds, at=arguments.seconds / 3, action=ended
        )
        tally = asyncio.run(loop.run())
        callers.end()
        load.tell(tally)
        bounds.must(
            tally.counts["accepted"] == tally.sent, f"over HTTP {tally.sent - tally.counts['accepted']} failures"
        )
        bounds.must(
            not callers.failures,
            f"over gRPC {len(callers.failures)} failures beside {callers.answered} answers {callers.failures[:3]}",
        )
        if servers:
            status = servers[0].end()
            bounds.must(status == 0, f"the replica that got SIGTERM ended with {status}")
        for replica in replicas[1:]:
            bounds.must(processes.is_ready(replica.http), f"the replica at {replica.http} is ready")
    sys.exit(0 if bounds.held else 1)


if __name__ == "__main__":
    main()
