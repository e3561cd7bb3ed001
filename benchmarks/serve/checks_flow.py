"""Checks 20 to 25: queues, cancellation, statistics, loading, many at once, perf_analyzer."""

import tempfile
import threading
import time

import grpc
import numpy

import perf_analyzer
from clients import infer_request
from wire import Connection, Infer, Tensor, outputs_of

ROW = numpy.arange(16, dtype=numpy.float32).reshape(1, 16)
SLOW = [Tensor("INPUT", "FP32", [1, 16], ROW.tobytes())]
FULL = "exceeds maximum queue size"
EXPIRED = "request timeout expired"


def success_count(c, model):
    """How many requests of a model the server says it has answered."""
    found = c.clients[0].call("get_inference_statistics", model)["model_stats"]
    return sum(one["inference_stats"]["success"]["count"] for one in found)


def at_once(count, ask):
    """Calls `ask(number)` in so many threads at once; results in order."""
    results = [None] * count
    gate = threading.Barrier(count)

    def one(number):
        gate.wait()
        results[number] = ask(number)

    threads = [threading.Thread(target=one, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return results


def ask_slow(c, extra=None, timeout=60):
    """Asks `slow` over raw HTTP: the answer."""
    connection = Connection(c.address.http, timeout)
    try:
        return Infer("slow", SLOW, extra=extra or {}).send(connection)
    finally:
        connection.close()


def full_queue_and_expiry(c):
    """A full queue refuses the rest with 503 and answers the accepted; a request whose time is over in the queue is refused."""
    count = 4 * c.queue + 16
    answers = at_once(count, lambda _: ask_slow(c))
    accepted = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status != 200]
    c.expect(accepted, "HTTP: none of a flood was accepted")
    c.expect(refused, f"HTTP: {count} at once, and none was refused")
    c.expect(
        all(outputs_of(answer)["OUTPUT"][2] == ROW.tobytes() for answer in accepted), "HTTP: a wrong answer under load"
    )
    for answer in refused:
        if not c.expect(
            answer.status == 503 and FULL in answer.error().lower(), f"HTTP flood: {answer.status} {answer.error()}"
        ):
            break
    if c.tell and refused:
        print(f"      HTTP flood: {len(accepted)} of {count} accepted; {refused[0].status}: {refused[0].error()}")
    with c.stub() as stub:
        calls = [stub.service.ModelInfer.future(infer_request("slow", SLOW), timeout=60) for _ in range(count)]
        codes = {}
        for call in calls:
            code = call.code().name
            codes[code] = codes.get(code, 0) + 1
            if code != "OK" and not c.expect(
                code == "UNAVAILABLE" and FULL in call.details().lower(), f"gRPC flood: {code} {call.details()}"
            ):
                break
        c.expect(codes.get("OK") and codes.get("UNAVAILABLE"), f"gRPC flood: {codes}")
    expiry(c)


def expiry(c):
    """Behind others, a request of 1 ms (parameter `timeout`, in microseconds)."""
    before = [threading.Thread(target=ask_slow, args=[c]) for _ in range(3)]
    for thread in before:
        thread.start()
    time.sleep(0.02)
    answer = ask_slow(c, {"parameters": {"timeout": 1000, "binary_data_output": True}})
    said = f"HTTP expiry: {answer.status} {answer.error() if answer.status != 200 else ''}"
    c.expect(answer.status == 503 and EXPIRED in answer.error().lower(), said)
    if c.tell:
        print(f"      {said}")
    for thread in before:
        thread.join(60)
    for client in c.clients:
        before = [threading.Thread(target=ask_slow, args=[c]) for _ in range(3)]
        for thread in before:
            thread.start()
        time.sleep(0.02)
        wanted = "UNAVAILABLE" if client.is_grpc else "503"
        c.refuses(f"{client.name} expiry", lambda: client.infer("slow", {"INPUT": ROW}, timeout=1000), wanted, EXPIRED)
        for thread in before:
            thread.join(60)


def cancellation(c):
    """Calls that are cancelled while they wait free their places and are not computed; over HTTP, so are closed connections."""
    rounds, waiting = 4, 4
    for way, ask in (("gRPC", cancelled_calls), ("HTTP", closed_connections)):
        if way == "HTTP" and c.against == "triton":
            continue  # it goes on computing for clients that have gone
        before = success_count(c, "slow")
        for _ in range(rounds):
            ask(c, waiting)
            answer = accepted_in_time(c)
            c.expect(
                answer.status == 200,
                f"{way}: after cancelling: {answer.status} {answer.error() if answer.status != 200 else ''}",
            )
        computed = success_count(c, "slow") - before
        # One in front of each round, one behind it; as many again may have started before they were cancelled.
        c.expect(
            computed <= 3 * rounds,
            f"{way}: {computed} computed of {rounds * (waiting + 2)}, {rounds * waiting} of them cancelled while they waited",
        )
        if c.tell:
            print(f"      {way}: {computed} computed of {rounds * (waiting + 2)}, {rounds * waiting} cancelled")
        full = at_once(waiting, lambda _: ask_slow(c))
        c.expect(
            all(answer.status == 200 for answer in full),
            f"{way}: places are lost: {[answer.status for answer in full]}",
        )


def accepted_in_time(c):
    """An answer of `slow`, tried again for 3 s while the queue is full: Triton counts what was cancelled until its batcher looks next."""
    until = time.monotonic() + 3
    while (answer := ask_slow(c)).status == 503 and time.monotonic() < until:
        time.sleep(0.02)
    return answer


def cancelled_calls(c, waiting):
    """One call that runs, and some behind it that are cancelled."""
    with c.stub() as stub:
        first = stub.service.ModelInfer.future(infer_request("slow", SLOW), timeout=60)
        time.sleep(0.01)
        calls = [stub.service.ModelInfer.future(infer_request("slow", SLOW), timeout=60) for _ in range(waiting)]
        time.sleep(0.015)
        for call in calls:
            call.cancel()
        c.expect(first.code() == grpc.StatusCode.OK, f"gRPC: the first: {first.code()} {first.details()}")


def closed_connections(c, waiting):
    """One request that runs, and some behind it whose connections are closed."""
    first = threading.Thread(target=ask_slow, args=[c])
    first.start()
    time.sleep(0.01)
    connections = [Connection(c.address.http) for _ in range(waiting)]
    for connection in connections:
        connection.open()
        connection.socket.sendall(Infer("slow", SLOW).message(connection))
    time.sleep(0.015)
    for connection in connections:
        connection.close()
    first.join(60)


def statistics(c):
    """Counts and times grow by what was asked, and both protocols say the same."""
    model, rows = "identity_fp32", numpy.ones((2, 16), numpy.float32)

    def read(client):
        found = client.dictionary("get_inference_statistics", model)["model_stats"][0]
        stats = found["inference_stats"]
        for part in (
            "success",
            "fail",
            "queue",
            "compute_input",
            "compute_infer",
            "compute_output",
            "cache_hit",
            "cache_miss",
        ):
            c.expect(part in stats, f"{client.name}: no {part}")
        c.expect(
            found.get("version") and found.get("name") == model,
            f"{client.name}: {found.get('name')} {found.get('version')}",
        )
        success = stats["success"]
        return [
            int(number)
            for number in (
                success.get("count", 0),
                success.get("ns", 0),
                found.get("inference_count", 0),
                found.get("execution_count", 0),
            )
        ]

    before = [read(client) for client in c.clients]
    c.expect(len({tuple(numbers) for numbers in before}) == 1, f"clients read different numbers: {before}")
    for client in c.clients:
        for _ in range(5):
            client.infer(model, {"INPUT": rows})
    asked = 5 * len(c.clients)
    # Triton counts an answer after it is sent.
    until = time.monotonic() + 3
    while (now := read(c.clients[0]))[0] - before[0][0] < asked and time.monotonic() < until:
        time.sleep(0.01)
    grown = [after - start for after, start in zip(now, before[0], strict=True)]
    c.expect(grown[0] == asked, f"{asked} asked, success grew by {grown[0]}")
    c.expect(grown[1] > 0, "no time was counted")
    c.expect(grown[2] == 2 * asked, f"{2 * asked} rows, inference_count grew by {grown[2]}")
    c.expect(0 < grown[3] <= asked, f"execution_count grew by {grown[3]}")
    for client in c.clients:
        every = client.dictionary("get_inference_statistics")["model_stats"]
        c.expect(len({one["name"] for one in every}) > 1, f"{client.name}: statistics of all: {len(every)}")
        wanted = "NOT_FOUND" if client.is_grpc else "404"
        c.refuses(
            f"{client.name} statistics of an unknown model",
            lambda: client.call("get_inference_statistics", "no_such_model"),
            f"{wanted} {'INVALID_ARGUMENT' if client.is_grpc else '400'}",
        )


def repository(c):
    """The index with states; a model that is unloaded is not ready and refuses, until it is loaded again."""
    model = "identity_uint8"
    feeds = {"INPUT": numpy.ones((1, 4), numpy.uint8)}
    for client in c.clients:

        def state():
            index = client.dictionary("get_model_repository_index")
            index = index.get("models", []) if client.is_grpc else index
            return next((one.get("state") for one in index if one["name"] == model), None)

        c.expect(state() == "READY", f"{client.name}: state {state()}")
        client.call("unload_model", model)
        until = time.monotonic() + 30
        while state() not in ("UNAVAILABLE", None) and time.monotonic() < until:
            time.sleep(0.05)
        c.expect(client.call("is_model_ready", model) is False, f"{client.name}: ready after unload")
        c.expect(state() in ("UNAVAILABLE", None), f"{client.name}: state after unload {state()}")
        wanted = "NOT_FOUND UNAVAILABLE INVALID_ARGUMENT" if client.is_grpc else "400 404 503"
        c.refuses(f"{client.name} infer after unload", lambda: client.infer(model, feeds), wanted)
        c.expect(
            client.call("is_server_ready"),
            f"{client.name}: the server is not ready when a model is unloaded on purpose",
        )
        client.call("load_model", model)
        c.expect(client.call("is_model_ready", model) is True, f"{client.name}: not ready after load")
        c.expect(
            numpy.array_equal(client.infer(model, feeds).as_numpy("OUTPUT"), feeds["INPUT"]),
            f"{client.name}: after load",
        )
        wanted = "INVALID_ARGUMENT NOT_FOUND" if client.is_grpc else "400 404"
        c.refuses(f"{client.name} load of an unknown model", lambda: client.call("load_model", "no_such_model"), wanted)


def many_at_once(c):
    """32 questions at once over one client, each with its own answer; over gRPC also in a stream."""
    questions = [{"INPUT": numpy.full((1 + number % 3, 16), number, numpy.float32)} for number in range(32)]
    for client in c.clients:
        answers = client.infer_many("identity_fp32", questions)
        for number, answer in enumerate(answers):
            found = None if isinstance(answer, Exception) else answer.as_numpy("OUTPUT")
            if not c.expect(
                found is not None and numpy.array_equal(found, questions[number]["INPUT"]),
                f"{client.name} {number}: {answer}",
            ):
                break
        if client.is_grpc:
            found = client.stream_many("identity_fp32", questions)
            c.expect(sorted(found) == list(range(32)), f"{client.name} stream: {len(found)} answers of 32")
            for number, answer in found.items():
                same = numpy.array_equal(answer.as_numpy("OUTPUT"), questions[number]["INPUT"])
                if not c.expect(same, f"{client.name} stream {number}: another answer"):
                    break


def perf_analyzer_completes(c):
    """Triton's perf_analyzer, unmodified, on both protocols."""
    with tempfile.TemporaryDirectory() as scratch:
        for protocol, address in (("http", c.address.http), ("grpc", c.address.grpc)):
            runs = [perf_analyzer.Run(address, protocol, "identity_fp32", shapes=["INPUT:16"])]
            if c.picture_model:
                runs.append(
                    perf_analyzer.Run(address, protocol, c.picture_model, data=perf_analyzer.picture_data(scratch))
                )
            for run in runs:
                try:
                    rows = perf_analyzer.measure(run)
                    if c.tell:
                        perf_analyzer.tell(run, rows)
                except RuntimeError as error:
                    c.expect(False, f"{run.model} over {protocol}: {error}")


CHECKS = [full_queue_and_expiry, cancellation, statistics, repository, many_at_once, perf_analyzer_completes]
