"""Tests of what the scripts measure with, against servers of a few lines: `python3 -m unittest` in this folder; standard library only."""

import asyncio
import json
import random
import socket
import threading
import unittest

import measure
import mutations
import open_loop
from open_loop import Question
from processes import Address
from wire import Connection, Infer, Tensor, outputs_of, packed, unpacked


class Scripted:
    """A server that answers the number n of its connections with `answers[n]`: a list of byte strings, one per request.

    The end of the list closes the connection.
    """

    def __init__(self, *answers):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.answers = list(answers)
        self.heard = []
        self.threads = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        """Takes as many connections as there are answers for, each in a thread of its own."""
        for answers in self.answers:
            connection, _ = self.listener.accept()
            self.threads.append(threading.Thread(target=self.serve, args=[connection, answers], daemon=True))
            self.threads[-1].start()

    def serve(self, connection, answers):
        """One connection."""
        with connection:
            for answer in answers:
                if not self.hear(connection):
                    break
                connection.sendall(answer)

    def hear(self, connection):
        """Reads one request; whether there was one."""
        heard = b""
        while b"\r\n\r\n" not in heard:
            received = connection.recv(65536)
            if not received:
                return False
            heard += received
        head, _, body = heard.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
        self.heard.append((head, body))
        return True

    def end(self):
        """Waits until all connections were served."""
        for thread in [self.thread, *self.threads]:
            thread.join(30)
        self.listener.close()


def answer(status=200, body=b"{}", headers=""):
    """An answer as bytes."""
    return f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


class Wire(unittest.TestCase):
    def test_bodies_by_length_and_in_chunks(self):
        chunked = (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: 1\r\n\r\n"
        )
        server = Scripted([answer(body=b"abc"), chunked, b"HTTP/1.1 100 Continue\r\n\r\n" + answer(404)])
        connection = Connection(server.address)
        self.assertEqual(connection.request("GET", "/").body, b"abc")
        self.assertFalse(connection.reused)
        self.assertEqual(connection.request("GET", "/").body, b"abcde")
        self.assertTrue(connection.reused)
        self.assertEqual(connection.request("GET", "/").status, 404)
        server.end()

    def test_a_body_that_breaks_off_is_an_error(self):
        server = Scripted([answer(body=b"abcdef")[:-3]])
        with self.assertRaises(ConnectionResetError):
            Connection(server.address).request("GET", "/")
        server.end()

    def test_a_binary_request_and_its_answer(self):
        head = json.dumps(
            {"outputs": [{"name": "A", "shape": [2], "datatype": "UINT8", "parameters": {"binary_data_size": 2}}]}
        )
        body = head.encode() + b"\x01\x02"
        length = f"Inference-Header-Content-Length: {len(head)}\r\n"
        server = Scripted([answer(body=body, headers=length), answer(body=body + b"\x03", headers=length)])
        asked, connection = Infer("m", [Tensor("INPUT", "UINT8", [2], b"\x07\x08")]), Connection(server.address)
        self.assertEqual(outputs_of(asked.send(connection)), {"A": ([2], "UINT8", b"\x01\x02")})
        with self.assertRaises(ValueError):
            outputs_of(asked.send(connection))
        server.end()
        sent_head, sent_body = server.heard[0]
        split = int(sent_head.split(b"Inference-Header-Content-Length: ")[1].split(b"\r\n")[0])
        self.assertEqual(json.loads(sent_body[:split])["inputs"][0]["parameters"], {"binary_data_size": 2})
        self.assertEqual(sent_body[split:], b"\x07\x08")

    def test_texts_there_and_back(self):
        values = [b"", b"\x00\xff", b"a" * 300]
        self.assertEqual(unpacked(packed(values)), values)


class Outcomes(unittest.TestCase):
    """Every way in which a request can end is told from the others."""

    def ask(self, *answers, questions=1, cancel_after=None, check=None):
        server = Scripted(*answers)
        question = Question("test", Connection(server.address).message("GET", "/"), check=check)
        tally = open_loop.Tally()

        async def run():
            pool = open_loop.Pool(server.address)
            for _ in range(questions):
                tally.sent += 1
                await open_loop.ask(pool, question, tally, 0.0, cancel_after)
            pool.close()

        asyncio.run(run())
        server.end()
        self.assertTrue(tally.adds_up())
        return {outcome: count for outcome, count in tally.counts.items() if count}

    def test_accepted_and_rejected_and_failed(self):
        found = self.ask([answer(), answer(429), answer(503), answer(500)], questions=4)
        self.assertEqual(found, {"accepted": 1, "rejected": 2, "failed": 1})

    def test_a_wrong_answer_is_failed(self):
        found = self.ask([answer(), answer(body=b"right")], questions=2, check=lambda said: said.body == b"right")
        self.assertEqual(found, {"accepted": 1, "failed": 1})

    def test_no_answer_on_a_new_connection_is_lost(self):
        server_hangs_up = [b""]
        self.assertEqual(self.ask(server_hangs_up), {"lost": 1})

    def test_half_an_answer_on_a_kept_connection_is_lost(self):
        self.assertEqual(self.ask([answer(), answer(body=b"abcdef")[:-3]], questions=2), {"accepted": 1, "lost": 1})

    def test_a_kept_connection_that_was_closed_is_not_lost(self):
        self.assertEqual(self.ask([answer(), b""], questions=2), {"accepted": 1, "closed idle": 1})

    def test_a_closing_answer_is_heeded(self):
        found = self.ask([answer(headers="Connection: close\r\n")], [answer()], questions=2)
        self.assertEqual(found, {"accepted": 2})

    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = f"127.0.0.1:{listener.getsockname()[1]}"
        tally = open_loop.Tally(sent=1)
        asyncio.run(open_loop.ask(open_loop.Pool(address), Question("test", b""), tally, 0.0))
        self.assertEqual(tally.counts["refused"], 1)

    def test_a_client_that_does_not_wait(self):
        listener = socket.create_server(("127.0.0.1", 0))
        pool, tally = open_loop.Pool(f"127.0.0.1:{listener.getsockname()[1]}"), open_loop.Tally(sent=1)
        asyncio.run(open_loop.ask(pool, Question("test", b"GET / HTTP/1.1\r\n\r\n"), tally, 0.0, cancel_after=0.05))
        listener.close()
        self.assertEqual(tally.counts["cancelled"], 1)

    def test_a_loop_sends_what_it_says(self):
        # More connections than it may open; the thread that takes them is left behind.
        server = Scripted(*[[answer()] * 50] * 50)
        question = Question("test", Connection(server.address).message("GET", "/"))
        loop = open_loop.Loop(Address(server.address, ""), [question], rate=200, seconds=0.25)
        tally = asyncio.run(loop.run())
        self.assertEqual((tally.sent, tally.counts["accepted"]), (50, 50))


class Mutations(unittest.TestCase):
    asked = Infer("identity_fp32", [Tensor("INPUT", "FP32", [1, 16], bytes(64))], ["OUTPUT"])

    def test_a_seed_repeats_a_run(self):
        def run(seed):
            drawn = random.Random(seed)
            return [mutations.http_request(self.asked, Connection("127.0.0.1:1"), drawn) for _ in range(200)]

        self.assertEqual(run(3), run(3))
        self.assertNotEqual(run(3), run(4))

    def test_most_requests_are_not_the_valid_one(self):
        drawn, connection = random.Random(5), Connection("127.0.0.1:1")
        valid = self.asked.message(connection)
        made = [mutations.http_request(self.asked, connection, drawn) for _ in range(1000)]
        self.assertLess(made.count(valid), 50)
        self.assertGreater(len(set(made)), 700)

    def test_json_changes_leave_the_original(self):
        head, drawn = self.asked.head(), random.Random(5)
        for _ in range(300):
            mutations.json_value(head, drawn)
        self.assertEqual(head, self.asked.head())

    def test_what_is_whole(self):
        whole = self.asked.message(Connection("127.0.0.1:1"))
        self.assertTrue(mutations.is_whole(whole))
        for wrong in (whole[:-1], whole[:20], whole.replace(b"Content-Length: 2", b"Content-Length: 92"), b""):
            self.assertFalse(mutations.is_whole(wrong))


class Measure(unittest.TestCase):
    def test_quantiles(self):
        self.assertEqual(measure.quantile(list(range(100)), 0.99), 99)
        self.assertEqual(measure.quantile([3, 1, 2], 0.5), 2)

    def test_a_ratio_holds_the_truth(self):
        drawn = random.Random(2)
        noise = [drawn.uniform(0.9, 1.1) for _ in range(200)]
        found = measure.ratio([2 * one * drawn.uniform(0.99, 1.01) for one in noise], noise)
        self.assertTrue(found.low <= 2 <= found.high and found.high - found.low < 0.01, found)


if __name__ == "__main__":
    unittest.main()
