"""Twenty-five checks of the Open Inference Protocol with the clients that people use: tritonclient over http, grpc,
http.aio, grpc.aio.

    checks.py --maskline target/release/maskline        starts `maskline serve` with the graphs of graphs.py and nano, and checks it
    checks.py --triton                                  starts Triton 2.51, from which the statuses are taken
    checks.py --http ADDRESS --grpc ADDRESS             checks what runs there (models as graphs.py names them, `--picture-model`)

One line per check, `pass` or `FAIL` with each reason; exit status 1 where one fails. `--tell` prints what the server
answered to each wrong request. `--against triton` names, and does not count, what Triton is known to answer otherwise.
"""

import argparse
import contextlib
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field

import checks_flow
import checks_form
import checks_wrong
import graphs
import processes
import triton
from clients import MODULES, Client, Refused, Stub
from wire import Connection

CHECKS = checks_form.CHECKS + checks_wrong.CHECKS + checks_flow.CHECKS

# What Triton 2.51 is known to answer otherwise (recorded by `--triton --tell`); not counted with `--against triton`. All are 500
# (INTERNAL), but the empty body: 200 and nothing in it.
TRITON_DIFFERS = (
    "ragged lists",
    "HTTP an empty body",
    "HTTP malformed JSON",
    "HTTP JSON that is no object",
    "HTTP JSON nested 100,000 deep",
    "HTTP inputs that are no list",
    "HTTP no inputs",
    "HTTP a shape of words",
    "HTTP too little JSON data",
    "HTTP words for numbers",
    "HTTP a negative size",
    "header length '12'",
    "header length '1 2'",
    "HTTP shape [18446744073709551616, 1]",
    "HTTP binary_data_size",
    "http load of an unknown model",
    "grpc load of an unknown model",
    "http.aio load of an unknown model",
    "grpc.aio load of an unknown model",
)


@dataclass
class Context:
    """What a check works with: the server, the clients, and what did not hold so far."""

    address: processes.Address
    against: str
    picture_model: str | None
    tell: bool
    queue: int
    clients: list[Client] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)

    def expect(self, holds, what):
        """Notes what does not hold; goes on, so that a run tells everything."""
        if holds:
            return True
        if self.against == "triton" and what.startswith(TRITON_DIFFERS):
            self.known.append(what)
        else:
            self.failures.append(what)
        return False

    def refuses(self, what, send, wanted, words=""):
        """`send` must be refused with one of the statuses `wanted` ("400 INVALID_ARGUMENT"), and say `words`."""
        try:
            result = send()
        except Refused as error:
            status, message = error.status, error.message
        else:
            answer = result if hasattr(result, "status") else None
            status = str(answer.status) if answer else "an answer"
            message = answer.error() if answer and answer.status >= 300 else ""
            if answer and answer.status >= 300:
                self.expect_error_key(what, answer)
        if self.tell:
            print(f"      {what}: {status}: {message}")
        said = f"{what}: {status} ({message[:160]}), not {wanted}"
        return self.expect(status in wanted.split() and words.lower() in (message or "").lower(), said)

    def expect_error_key(self, what, answer):
        """Clients index `error` of any answer that is not 200."""
        try:
            body = answer.json()
        except ValueError:
            body = None
        self.expect(
            isinstance(body, dict) and isinstance(body.get("error"), str),
            f'{what}: {answer.status} without {{"error": …}}',
        )

    @contextlib.contextmanager
    def raw(self):
        """A raw HTTP connection."""
        connection = Connection(self.address.http)
        try:
            yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def stub(self):
        """The raw gRPC service."""
        stub = Stub(self.address)
        try:
            yield stub
        finally:
            stub.close()


def run_check(context, number, check):
    """Runs one check and prints its line(s)."""
    context.failures, context.known = [], []
    start = time.monotonic()
    try:
        check(context)
    except Exception as error:  # a check that breaks off is a failure of its own, and the others still run
        where = traceback.extract_tb(error.__traceback__)[-1]
        context.failures.append(
            f"broke off at {where.filename.rsplit('/')[-1]}:{where.lineno}: {type(error).__name__}: {error}"
        )
    context.expect(processes.is_ready(context.address.http), "not ready afterwards")
    name = check.__name__.replace("_", " ")
    verdict = "FAIL" if context.failures else "pass"
    print(f"{number:2} {verdict} {name} ({time.monotonic() - start:.1f} s)", flush=True)
    for failure in context.failures:
        print(f"      FAIL: {failure}", flush=True)
    for known in context.known:
        print(f"      differs, as known: {known}", flush=True)
    return not context.failures


@contextlib.contextmanager
def server(arguments):
    """The server under test."""
    if arguments.triton:
        with triton.running(log=arguments.log) as address:
            yield address
    elif arguments.maskline:
        with tempfile.TemporaryDirectory(prefix="graphs-") as folder:
            flags = graphs.write(folder) + ["--queue", str(arguments.queue)]
            models = [arguments.picture_model] if arguments.picture_model else []
            with processes.maskline(arguments.maskline, models + flags + arguments.also, arguments.log) as address:
                yield address
    else:
        yield processes.Address(http=arguments.http, grpc=arguments.grpc)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--http", default="127.0.0.1:8000")
    parser.add_argument("--grpc", default="127.0.0.1:8001")
    parser.add_argument("--maskline", metavar="BINARY", help="start this maskline's server")
    parser.add_argument("--also", action="append", default=[], metavar="ARGUMENT", help="more for `maskline serve`")
    parser.add_argument("--triton", action="store_true", help="start Triton; implies --against triton")
    parser.add_argument("--against", choices=["maskline", "triton"], default="maskline")
    parser.add_argument("--picture-model", help="a high-level model (default nano; none against Triton)")
    parser.add_argument("--only", type=int, action="append", metavar="N", help="the check of this number")
    parser.add_argument(
        "--queue", type=int, default=40, help="the server's queue limit, for checks 20 and 24 (default %(default)s)"
    )
    parser.add_argument("--tell", action="store_true", help="print what was answered to each wrong request")
    parser.add_argument("--log", help="file for what the started server says")
    arguments = parser.parse_args()
    if arguments.triton:
        arguments.against = "triton"
    if arguments.against == "maskline" and arguments.picture_model is None:
        arguments.picture_model = "nano"
    held = 0
    chosen = [
        (number, check) for number, check in enumerate(CHECKS, 1) if not arguments.only or number in arguments.only
    ]
    with server(arguments) as address:
        context = Context(address, arguments.against, arguments.picture_model, arguments.tell, arguments.queue)
        context.clients = [Client(name, address) for name in MODULES]
        for number, check in chosen:
            held += run_check(context, number, check)
        for client in context.clients:
            client.close()
    print(f"{held} of {len(chosen)} hold")
    sys.exit(0 if held == len(chosen) else 1)


if __name__ == "__main__":
    main()
