"""What joining requests brings, with 1, 4 and 16 callers: the same questions to a server that joins and to one that
does not.

    joining.py --maskline target/release/maskline --picture-model nano --detector yolov8n --finder owlv2-base

Both servers run at once and are asked in turns. `on` is the server as it is; `off` has `--together 1`: every row runs
by itself. Questions: clicks on one known picture (decoder), clicks on sixteen known ones (decoders that cannot share a
picture), pictures that the server does not know (encoder), a detector, and words on known pictures. HTTP with kept
connections, bytes made before. A cell is requests per second (p50, p99 in ms); the last column is on to off.
"""

import argparse
import contextlib

import measure
import open_loop
import processes
from questions import Maker


class Fresh:
    """Questions about pictures of which none was asked before; they are made as they are taken."""

    def __init__(self, maker):
        self.maker = maker
        self.number = 1000

    def take(self, count):
        """So many new ones."""
        self.number += count
        return [self.maker.new_picture(number) for number in range(self.number - count, self.number)]


def workloads(makers, arguments):
    """Name -> for each server a function that gives the questions of a turn."""

    def fixed(make):
        lists = [make(maker) for maker in makers]
        return [lambda questions=questions: questions for questions in lists]

    found = {}
    if arguments.picture_model:
        found["clicks, one picture"] = fixed(lambda maker: [maker.click(0) for _ in range(64)])
        found["clicks, sixteen pictures"] = fixed(lambda maker: [maker.click(number % 16) for number in range(64)])
        fresh = [Fresh(maker) for maker in makers]
        found["new pictures"] = [lambda one=one: one.take(arguments.fresh) for one in fresh]
    if arguments.detector:
        found["detector"] = fixed(lambda maker: [maker.detect(number) for number in range(16)])
    if arguments.finder:
        words = ("a car", "a red disc", "a dog", "a blue rectangle")
        found["words"] = fixed(
            lambda maker: [maker.detect(number % 4, arguments.finder, words[number % 4 :]) for number in range(16)]
        )
    return found


def turn(address, questions, callers, arguments):
    """One turn of a closed loop; nothing may fail in it."""
    tally = open_loop.closed(address, questions, callers, arguments.seconds)
    failed = tally.sent - tally.counts["accepted"]
    if failed:
        raise SystemExit(f"{failed} of {tally.sent} were not answered: {tally}: {tally.failures}")
    return tally


def cell(tallies, seconds):
    """Requests a second and quantiles over all turns."""
    times = [latency for tally in tallies for latency in tally.latencies]
    rate = len(times) / (seconds * len(tallies))
    return rate, f"{rate:.1f} ({measure.quantile(times, 0.5) * 1e3:.1f}, {measure.quantile(times, 0.99) * 1e3:.1f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maskline", metavar="BINARY", required=True)
    parser.add_argument("--picture-model", default="nano")
    parser.add_argument("--detector", help="such as yolov8n")
    parser.add_argument("--finder", help="a model of words, such as owlv2-base")
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=5, help="of a turn (default %(default)s)")
    parser.add_argument("--turns", type=int, default=2, help="of each server and row (default %(default)s)")
    parser.add_argument(
        "--fresh", type=int, default=400, help="new pictures made for a turn; more than are answered in one"
    )
    parser.add_argument("--also", action="append", default=[], metavar="ARGUMENT", help="more for `maskline serve`")
    arguments = parser.parse_args()
    models = [model for model in (arguments.picture_model, arguments.detector, arguments.finder) if model]
    with contextlib.ExitStack() as stack:
        servers = []
        for extra in ([], ["--together", "1"]):
            servers.append(stack.enter_context(processes.maskline(arguments.maskline, models + arguments.also + extra)))
        makers = [Maker(server.http, arguments.picture_model, arguments.detector) for server in servers]
        print("| questions | callers | on: requests/s (p50, p99 ms) | off | on : off |\n|-|-|-|-|-|")
        for name, questions_of in workloads(makers, arguments).items():
            for callers in arguments.callers:
                tallies = [[], []]
                for number in range(2 * arguments.turns):
                    which = number % 2
                    questions = questions_of[which]()
                    tallies[which].append(turn(servers[which], questions, callers, arguments))
                    if name == "new pictures" and tallies[which][-1].sent > len(questions):
                        raise SystemExit(
                            f"{tallies[which][-1].sent} pictures were asked about in a turn; give --fresh more than that"
                        )
                (on, told_on), (off, told_off) = (cell(series, arguments.seconds) for series in tallies)
                print(f"| {name} | {callers} | {told_on} | {told_off} | {on / off:.2f} |", flush=True)


if __name__ == "__main__":
    main()
