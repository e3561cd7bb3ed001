"""Another program on maskline's inputs, in a process of its own: a line of JSON in on stdin, a line of JSON out on stdout.

The first line in is the task; the first line out says that the program is ready and what that took, or why it is not.
Every other line in is a request, answered by one line out. The process ends with its stdin.
"""

import contextlib
import importlib
import importlib.util
import json
import os
import socket
import sys
import time
import traceback
from pathlib import Path


class Clock:
    """Sums of wall-clock time by stage, in milliseconds."""

    def __init__(self):
        self.restart()

    def restart(self):
        """Forgets what came before: it was no part of the request."""
        self.stages = {}
        self.start = time.perf_counter()

    @contextlib.contextmanager
    def stage(self, name):
        start = time.perf_counter()
        yield
        self.stages[name] = self.stages.get(name, 0.0) + (time.perf_counter() - start) * 1e3

    def total(self):
        return (time.perf_counter() - self.start) * 1e3


def refuse(*_arguments, **_options):
    raise OSError("a measured program has no network")


def no_network():
    """Nothing that a library does in the background may reach out, or wait for an answer."""
    socket.socket.connect = refuse
    socket.socket.connect_ex = refuse
    socket.getaddrinfo = refuse


def lacking(names):
    """Those of the named modules that this Python does not have."""
    return [name for name in names if importlib.util.find_spec(name) is None]


def start(task):
    """The program of a task, loaded and warm, and what each part of that took."""
    missing = lacking(task["needs"])
    if missing:
        raise SystemExit(f"this Python lacks {', '.join(missing)}")
    clock = Clock()
    with clock.stage("import"):
        module = importlib.import_module(task["module"])
    with clock.stage("load"):
        program = getattr(module, task["class"])(task)
    with clock.stage("warm_up"):
        program.warm_up()
    return program, clock.stages


def reason(error):
    """The first line of what went wrong; the rest goes to stderr."""
    traceback.print_exception(error, file=sys.stderr)
    text = str(error).strip() or type(error).__name__
    return text if isinstance(error, SystemExit) else f"{type(error).__name__}: {text}"


def reply(program, request):
    clock = Clock()
    objects = program.answer(request, clock)
    return {"milliseconds": clock.total(), "stages": clock.stages, "objects": objects, "threads": program.threads()}


def main():
    # Whatever a library prints, in Python or in C, must not end up among the answers.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    no_network()

    def send(message):
        print(json.dumps(message), file=channel, flush=True)

    lines = iter(sys.stdin.buffer.readline, b"")
    try:
        program, parts = start(json.loads(next(lines)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever it is, the other side is told)
        send({"error": reason(error)})
        return
    send({"ready": parts, "threads": program.threads()})
    for line in lines:
        try:
            send(reply(program, json.loads(line)))
        except Exception as error:  # noqa: BLE001
            send({"error": reason(error)})


if __name__ == "__main__":
    main()
