"""A server under more load than it can bear, under SIGTERM, under a mixture that goes on, and left by its clients.

    load.py --maskline BINARY --overload 2 --seconds 300    open loop at twice the measured capacity
    load.py --maskline BINARY --sigterm                     SIGTERM under load: no accepted request is lost, exit status 0
    load.py --maskline BINARY --mixed 10000                 clicks, pictures, detection, tensors, bad requests: memory stays flat
    load.py --maskline BINARY --vanish 1000                 clients that close mid-request: afterwards every place is free

`--http ADDRESS --pid PID` takes a server that runs already (not for --sigterm). What is asked under load is `--ask`:
`slow` (a graph of about 50 ms), `click` (on a known picture) or `detect`. Exit status 1 where a bound is broken.
"""

import argparse
import asyncio
import contextlib
import statistics
import struct
import sys
import tempfile
import threading
import time

import graphs
import measure
import open_loop
import processes
from questions import Maker
from wire import Connection

MIB = 1 << 20


class Bounds:
    """What must hold; says each and remembers whether all did."""

    def __init__(self):
        self.held = True

    def must(self, holds, what):
        """Prints a line."""
        print(f"{'holds' if holds else 'BROKEN'}: {what}", flush=True)
        self.held &= bool(holds)


def made(maker, arguments, count=64):
    """Questions for the open loops."""
    kinds = {"slow": maker.slow, "click": maker.click, "detect": maker.detect, "tensor": maker.tensor}
    return [kinds[arguments.ask]() for _ in range(count)]


def capacity(address, questions, arguments):
    """Answers a second with a few callers."""
    tally = open_loop.closed(address, questions, callers=arguments.callers, seconds=arguments.warm_up)
    rate = tally.counts["accepted"] / arguments.warm_up
    print(f"capacity with {arguments.callers} callers: {rate:.1f}/s ({measure.latencies(tally.latencies)})", flush=True)
    if rate == 0:
        raise SystemExit(f"nothing was accepted: {tally}: {tally.failures}")
    return rate


def tell(tally):
    """What became of a loop."""
    print(f"{tally}; accepted: {measure.latencies(tally.latencies)}")
    for failure in tally.failures:
        print(f"  {failure}")
    if tally.memory:
        step = max(1, len(tally.memory) // 10)
        print("  memory, MiB: " + ", ".join(f"{at:.0f} s {size / MIB:.0f}" for at, size in tally.memory[::step]))


def overload(server, arguments, bounds):
    """More than the server can answer, for a long time."""
    address = server.address
    questions = made(Maker(address.http, arguments.picture_model, arguments.detector), arguments)
    rate = capacity(address, questions, arguments)
    loop = open_loop.Loop(address, questions, rate * arguments.overload, arguments.seconds, cancel_share=0.02)
    tally = asyncio.run(loop.run())
    tell(tally)
    bounds.must(tally.adds_up(), "accepted + rejected + cancelled + failed = sent")
    failed = sum(tally.counts[outcome] for outcome in ("failed", "lost", "refused", "closed idle"))
    bounds.must(failed == 0, f"{failed} failed, lost or refused")
    bounds.must(tally.counts["rejected"] > 0 or arguments.overload <= 1, "what is too much is rejected")
    bounds.must(
        tally.counts["accepted"] >= 0.7 * rate * arguments.seconds, "at least 70 % of the capacity is still answered"
    )
    limit = arguments.p99_limit or 2 * (arguments.queue + arguments.callers) / rate + 0.25
    p99 = measure.quantile(tally.latencies, 0.99)
    bounds.must(p99 <= limit, f"p99 of the accepted {p99:.2f} s <= {limit:.2f} s (a full queue of {arguments.queue})")
    if tally.memory:
        flat_after(tally.memory, len(tally.memory) // 5, arguments, bounds)
    again = open_loop.closed(address, questions, callers=1, seconds=2)
    bounds.must(again.counts["accepted"] == again.sent, f"afterwards all is answered: {again}")


def flat_after(memory, first, arguments, bounds):
    """Memory at the end against memory after a beginning."""
    sizes = [size for _, size in memory]
    window = max(1, (len(sizes) - first) // 10)
    start, end = statistics.median(sizes[first : first + window]), statistics.median(sizes[-window:])
    grown = (end - start) / MIB
    bounds.must(
        grown <= arguments.growth,
        f"memory grew by {grown:.1f} MiB (from {start / MIB:.0f}) <= {arguments.growth} MiB after the beginning",
    )
    if arguments.memory_limit:
        bounds.must(
            max(sizes) <= arguments.memory_limit * MIB,
            f"at most {max(sizes) / MIB:.0f} MiB <= {arguments.memory_limit} MiB",
        )


def sigterm(server, arguments, bounds):
    """SIGTERM in the middle of an open loop below capacity."""
    questions = made(Maker(server.address.http, arguments.picture_model, arguments.detector), arguments)
    rate = capacity(server.address, questions, arguments)
    not_ready = threading.Event()

    def end():
        server.terminate()
        threading.Thread(target=watch, daemon=True).start()

    def watch():
        while processes.is_alive(server.address.pid):
            with contextlib.suppress(OSError):
                status, _ = processes.get(server.address.http, "/v2/health/ready", timeout=2)
                if status != 200:
                    not_ready.set()
                    return
            time.sleep(0.01)

    loop = open_loop.Loop(
        server.address, questions, 0.8 * rate, arguments.seconds, at=arguments.seconds / 3, action=end
    )
    tally = asyncio.run(loop.run())
    tell(tally)
    bounds.must(tally.adds_up(), "every request became something")
    bounds.must(tally.counts["lost"] == 0, f"{tally.counts['lost']} accepted requests lost")
    bounds.must(tally.counts["failed"] == 0, f"{tally.counts['failed']} failed")
    bounds.must(not_ready.is_set(), "not ready was said while it still answered")
    status = server.end()
    bounds.must(status == 0, f"exit status {status}")


def mixed(server, arguments, bounds):
    """A mixture in a closed loop of a few callers; memory is looked at after the first tenth and at the end."""
    memory, wrong, lock = [], [], threading.Lock()
    done = {}
    number = iter(range(arguments.mixed))

    def caller(seed):
        maker = Maker(server.address.http, arguments.picture_model, arguments.detector, seed)
        connection = Connection(server.address.http)
        while True:
            with lock:
                at = next(number, None)
            if at is None:
                return
            question = maker.mixed(at, arguments.pictures)
            answer = connection.exchange(question.message)
            with lock:
                done[question.kind] = done.get(question.kind, 0) + 1
                if not question.is_right(answer):
                    wrong.append(
                        f"{at} {question.kind}: {answer.status} {answer.error() if answer.status != 200 else 'wrong answer'}"
                    )
                if at % 50 == 0 and server.address.pid:
                    memory.append((at, processes.resident(server.address.pid)))

    start = time.perf_counter()
    threads = [threading.Thread(target=caller, args=[seed]) for seed in range(arguments.callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - start
    print(
        f"{sum(done.values())} requests in {took:.0f} s: "
        + ", ".join(f"{count} {kind}" for kind, count in sorted(done.items()))
    )
    for line in wrong[:10]:
        print(f"  {line}")
    bounds.must(sum(done.values()) == arguments.mixed, "every request was answered")
    bounds.must(not wrong, f"{len(wrong)} wrong answers")
    bounds.must(processes.is_ready(server.address.http), "ready afterwards")
    if memory:
        print(
            "  memory, MiB: " + ", ".join(f"{at} {size / MIB:.0f}" for at, size in memory[:: max(1, len(memory) // 10)])
        )
        flat_after(memory, min(len(memory) // 2, 1000 // 50), arguments, bounds)


def vanish(server, arguments, bounds):
    """Clients that go: in the head, in the body, and while they wait. Then as many as the queue holds must be answered at once."""
    maker = Maker(server.address.http, arguments.picture_model, arguments.detector)
    for number in range(arguments.vanish):
        question = maker.slow() if number % 3 else maker.tensor(count=50_000)
        message = question.message
        cuts = (
            len(message),
            message.index(b"\r\n\r\n") // 2,
            (message.index(b"\r\n\r\n") + len(message)) // 2,
            len(message),
        )
        connection = Connection(server.address.http)
        connection.open()
        connection.socket.sendall(message[: cuts[number % 4]])
        if number % 2:
            # No farewell: a reset, as when a machine goes away.
            connection.socket.setsockopt(1, 13, struct.pack("ii", 1, 0))
        if number % 5 == 0:
            time.sleep(0.01)
        connection.close()
    bounds.must(processes.is_ready(server.address.http), "ready afterwards")
    answers, threads = [], []

    def one():
        connection = Connection(server.address.http)
        question = maker_of_round.slow()
        answers.append(question.is_right(connection.exchange(question.message)))
        connection.close()

    maker_of_round = Maker(server.address.http, arguments.picture_model)
    # What they left behind has this long to be noticed; a lost place stays lost.
    time.sleep(arguments.settle)
    for _ in range(arguments.queue):
        threads.append(threading.Thread(target=one))
        threads[-1].start()
    for thread in threads:
        thread.join(300)
    bounds.must(answers.count(True) == arguments.queue, f"{answers.count(True)} of {arguments.queue} places are free")
    nothing_waits(server, bounds)


def nothing_waits(server, bounds):
    """Gauges of what waits or runs, if the server has metrics, are back at 0."""
    status, body = processes.get(server.address.http, "/metrics")
    if status != 200:
        return
    for line in body.decode().splitlines():
        name = line.split("{")[0].split(" ")[0].lower()
        if not line.startswith("#") and any(word in name for word in ("pending", "in_flight", "queued", "queue_depth")):
            bounds.must(float(line.rsplit(" ", 1)[1]) == 0, f"after all is answered: {line}")


@contextlib.contextmanager
def serving(arguments):
    """The server: one of our own, or one that runs already."""
    if arguments.http:

        class Running:
            address = processes.Address(arguments.http, "", arguments.pid)

        yield Running
        return
    with tempfile.TemporaryDirectory(prefix="graphs-") as folder:
        flags = graphs.write(folder, only=["slow", "identity_fp32"]) + ["--queue", str(arguments.queue)]
        models = [model for model in (arguments.picture_model, arguments.detector) if model]
        server = processes.Server(arguments.maskline, models + flags + arguments.also, arguments.log)
        try:
            server.wait_until_ready()
            yield server
        finally:
            server.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maskline", metavar="BINARY", help="start this maskline's server")
    parser.add_argument("--also", action="append", default=[], metavar="ARGUMENT", help="more for `maskline serve`")
    parser.add_argument("--http", help="a server that runs already")
    parser.add_argument("--pid", type=int, help="its process, to watch its memory")
    parser.add_argument("--log", help="file for what the started server says")
    modes = parser.add_mutually_exclusive_group(required=True)
    modes.add_argument("--overload", type=float, metavar="TIMES")
    modes.add_argument("--sigterm", action="store_true")
    modes.add_argument("--mixed", type=int, metavar="COUNT")
    modes.add_argument("--vanish", type=int, metavar="COUNT")
    parser.add_argument("--ask", choices=["slow", "click", "detect", "tensor"], default="slow")
    parser.add_argument("--picture-model", default="nano")
    parser.add_argument("--detector", help="such as yolov8n")
    parser.add_argument("--seconds", type=float, default=30, help="how long an open loop lasts (default %(default)s)")
    parser.add_argument("--warm-up", type=float, default=5, help="seconds of the closed loop that measures capacity")
    parser.add_argument(
        "--callers", type=int, help="that measure capacity (default 16), or ask the mixture (default 4)"
    )
    parser.add_argument("--queue", type=int, default=32, help="the server's queue limit (default %(default)s)")
    parser.add_argument("--pictures", type=int, default=24, help="how many pictures the mixture is about")
    parser.add_argument(
        "--settle", type=float, default=2, help="seconds between the last that vanishes and the round that must fit"
    )
    parser.add_argument("--p99-limit", type=float, metavar="SECONDS", help="default: twice what a full queue takes")
    parser.add_argument(
        "--growth", type=float, default=32, metavar="MIB", help="of memory after the beginning (default %(default)s)"
    )
    parser.add_argument("--memory-limit", type=float, metavar="MIB")
    arguments = parser.parse_args()
    if not (arguments.maskline or arguments.http) or (arguments.sigterm and not arguments.maskline):
        parser.error("--maskline, or --http for what needs no end")
    if arguments.callers is None:
        # Enough that joining is in the capacity; a mixture is to fit into any queue.
        arguments.callers = 4 if arguments.mixed else min(16, arguments.queue)
    bounds = Bounds()
    with serving(arguments) as server:
        for mode in (overload, sigterm, mixed, vanish):
            if getattr(arguments, mode.__name__):
                mode(server, arguments, bounds)
    sys.exit(0 if bounds.held else 1)


if __name__ == "__main__":
    main()
