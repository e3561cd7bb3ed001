"""An open loop over HTTP: requests start when they are due, whether or not earlier ones are answered.

Latency counts from the moment at which a request was due, so that a server (or this client) that falls behind cannot
hide it. Every request ends in exactly one of the `OUTCOMES`.
"""

import asyncio
import time
from dataclasses import dataclass, field

import processes
from wire import Answer

OUTCOMES = (
    "accepted",  # answered, and right
    "rejected",  # 429, or 503: declared overload
    "cancelled",  # this client closed the connection before the answer
    "refused",  # no connection: nobody listens any more
    "closed idle",  # a kept connection had been closed by the server before the request reached it; clients try again
    "lost",  # sent on a live connection, and no whole answer came
    "failed",  # another status, or a wrong answer
)


@dataclass
class Question:
    """A request as bytes; `statuses` are those that are right for it, and `check` says whether an answer of 200 is."""

    kind: str
    message: bytes
    statuses: tuple[int, ...] = (200,)
    check: object = None

    def is_right(self, answer):
        """Whether this is an answer to it."""
        return answer.status in self.statuses and (answer.status != 200 or self.check is None or self.check(answer))


@dataclass
class Tally:
    """What became of the requests of a loop."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    sent: int = 0
    latencies: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)

    def note(self, outcome, detail=""):
        """One request more."""
        self.counts[outcome] += 1
        if outcome in ("failed", "lost") and len(self.failures) < 10:
            self.failures.append(f"{outcome}: {detail}")

    def adds_up(self):
        """Whether each that was sent became something."""
        return self.sent == sum(self.counts.values())

    def __str__(self):
        parts = [f"{count} {outcome}" for outcome, count in self.counts.items() if count]
        return f"{self.sent} sent = " + " + ".join(parts)


class Pool:
    """Kept connections; one is opened where none is idle."""

    def __init__(self, address):
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)
        self.idle = []

    async def take(self):
        """A connection, and whether it was used before."""
        while self.idle:
            reader, writer = self.idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer, True
            writer.close()
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=1 << 20)
        return reader, writer, False

    def give_back(self, reader, writer):
        """For the next request."""
        self.idle.append((reader, writer))

    def close(self):
        """Ends all idle ones."""
        for _, writer in self.idle:
            writer.close()


async def read_answer(reader):
    """One answer with a Content-Length or chunks; `started` in an error says whether any of it came."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        parts = []
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readuntil(b"\r\n")
        body = b"".join(parts)
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Answer(int(lines[0].split(" ", 2)[1]), headers, body)


async def ask(pool, question, tally, due, cancel_after=None):
    """One request, from the moment at which it was due."""
    try:
        reader, writer, reused = await pool.take()
    except OSError:
        tally.note("refused")
        return
    try:
        writer.write(question.message)
        if cancel_after is not None:
            # Asked to go away: what is answered before is answered.
            answer = await asyncio.wait_for(read_answer(reader), cancel_after)
        else:
            answer = await asyncio.wait_for(read_answer(reader), 300)
    except asyncio.TimeoutError:
        writer.close()
        tally.note("cancelled" if cancel_after is not None else "lost", "no answer within 300 s")
        return
    except (OSError, asyncio.IncompleteReadError) as error:
        writer.close()
        nothing_came = not getattr(error, "partial", b"")
        tally.note(
            "closed idle" if reused and nothing_came else "lost", f"{type(error).__name__}, kept connection: {reused}"
        )
        return
    if answer.headers.get("connection", "").lower() == "close":
        writer.close()
    else:
        pool.give_back(reader, writer)
    if answer.status in (429, 503):
        tally.note("rejected")
    elif question.is_right(answer):
        tally.note("accepted")
        tally.latencies.append(time.perf_counter() - due)
    else:
        tally.note(
            "failed", f"{question.kind}: {answer.status} {answer.error() if answer.status != 200 else 'wrong answer'}"
        )


@dataclass
class Loop:
    """An open loop: `rate` requests a second for so many `seconds`, drawn from `questions` in turn."""

    address: processes.Address
    questions: list
    rate: float
    seconds: float
    cancel_share: float = 0.0
    at: float | None = None
    action: object = None

    async def run(self):
        """Runs it and gives the tally; `action` is called once, `at` so many seconds."""
        pool, tally, tasks = Pool(self.address.http), Tally(), set()
        start = time.perf_counter()
        sampler = asyncio.create_task(self.sample(tally, start))
        acted = self.action is None
        for number in range(int(self.rate * self.seconds)):
            due = start + number / self.rate
            if not acted and due - start >= self.at:
                self.action()
                acted = True
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            is_cancelled = self.cancel_share and number % round(1 / self.cancel_share) == 0
            question = self.questions[number % len(self.questions)]
            tally.sent += 1
            task = asyncio.create_task(
                ask(pool, question, tally, due, 0.005 * (number % 5) + 0.001 if is_cancelled else None)
            )
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        sampler.cancel()
        pool.close()
        return tally

    async def sample(self, tally, start):
        """The server's memory, once a second."""
        while self.address.pid is not None and processes.is_alive(self.address.pid):
            tally.memory.append((time.perf_counter() - start, processes.resident(self.address.pid)))
            await asyncio.sleep(1)


def closed(address, questions, callers, seconds):
    """A closed loop of so many callers: the tally; answers a second are `capacity`."""

    async def run():
        pool, tally = Pool(address.http), Tally()
        until = time.perf_counter() + seconds

        async def caller(first):
            number = first
            while (start := time.perf_counter()) < until:
                tally.sent += 1
                await ask(pool, questions[number % len(questions)], tally, start)
                number += callers

        await asyncio.gather(*(caller(number) for number in range(callers)))
        pool.close()
        return tally

    return asyncio.run(run())
