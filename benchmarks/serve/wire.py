"""HTTP as it goes over the wire, so that a client's own time does not hide a server's, and so that wrong requests can
be sent.

Nothing but the standard library: one connection is kept, one `sendall` per request, bodies by Content-Length or in
chunks.
"""

import json
import socket
import struct
from dataclasses import dataclass, field

SIZES = {"BOOL": 1, "INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8}
SIZES |= {"FP16": 2, "FP32": 4, "FP64": 8}


@dataclass
class Answer:
    """What came back; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        """The JSON of the body, or of its head where tensors follow."""
        length = self.headers.get("inference-header-content-length")
        return json.loads(self.body[: int(length)] if length else self.body)

    def error(self):
        """The message of an error in any of the forms that are used; the start of the body if there is none."""
        try:
            said = json.loads(self.body)
        except ValueError:
            return self.body[:200].decode("utf-8", "replace")
        if not isinstance(said, dict):
            return str(said)[:200]
        return str(said.get("error") or said.get("detail") or said.get("title") or said)[:300]


class Connection:
    """One kept-alive HTTP/1.1 connection; it is opened again after the server closed it.

    `reused` says whether the last request went over a connection that had served before.
    """

    def __init__(self, address, timeout=60):
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)
        self.timeout = timeout
        self.socket = None
        self.buffer = b""
        self.reused = False

    def open(self):
        """Connects if there is no connection."""
        self.reused = self.socket is not None
        if self.socket is None:
            self.socket = socket.create_connection((self.host, self.port), self.timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.buffer = b""

    def close(self):
        """Drops the connection, whatever is under way on it."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def message(self, method, path, headers=None, body=b""):
        """The bytes of a request."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        headers = {"Content-Length": str(len(body))} | (headers or {})
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body

    def request(self, method, path, headers=None, body=b""):
        """Sends a request and reads the answer."""
        return self.exchange(self.message(method, path, headers, body))

    def exchange(self, message):
        """Sends bytes and reads one answer. An error of the network closes the connection and is raised."""
        self.open()
        try:
            self.socket.sendall(message)
            return self.read_answer(is_head=message.startswith(b"HEAD "))
        except BaseException:
            self.close()
            raise

    def fill(self):
        """More bytes, or an error if there are none."""
        received = self.socket.recv(1 << 20)
        if not received:
            raise ConnectionResetError("the server closed the connection")
        self.buffer += received

    def read_line(self):
        """Up to and without the next line end."""
        while b"\r\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def read_exactly(self, count):
        """The next `count` bytes, received into place."""
        taken = bytearray(count)
        have = min(count, len(self.buffer))
        taken[:have] = self.buffer[:have]
        self.buffer = self.buffer[have:]
        view = memoryview(taken)
        while have < count:
            received = self.socket.recv_into(view[have:])
            if not received:
                raise ConnectionResetError("the server closed the connection within a body")
            have += received
        return bytes(taken)

    def read_answer(self, is_head=False):
        """One answer; interim ones (100) are passed over."""
        while True:
            status = int(self.read_line().split(b" ", 2)[1])
            headers = {}
            while line := self.read_line():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.strip().lower()] = value.strip()
            if status >= 200:
                break
        if is_head or status in (204, 304):
            body = b""
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            body = self.read_chunks()
        else:
            body = self.read_exactly(int(headers.get("content-length", 0)))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, body)

    def read_chunks(self):
        """A chunked body."""
        parts = []
        while size := int(self.read_line().split(b";")[0], 16):
            parts.append(self.read_exactly(size))
            self.read_line()
        while self.read_line():
            pass
        return b"".join(parts)


@dataclass
class Tensor:
    """A tensor of a request: its bytes as they travel (little-endian; BYTES with their lengths)."""

    name: str
    datatype: str
    shape: list[int]
    data: bytes


@dataclass
class Infer:
    """A request of the binary extension, in its parts, so that each can be made wrong."""

    model: str
    inputs: list[Tensor]
    outputs: list[str] | None = None
    extra: dict = field(default_factory=dict)

    def head(self):
        """The JSON before the tensors."""
        inputs = [
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": tensor.shape,
                "parameters": {"binary_data_size": len(tensor.data)},
            }
            for tensor in self.inputs
        ]
        head = {"inputs": inputs, "parameters": {"binary_data_output": True}}
        if self.outputs is not None:
            head["outputs"] = [{"name": name, "parameters": {"binary_data": True}} for name in self.outputs]
        return head | self.extra

    def send(self, connection, headers=None):
        """Over a `Connection`."""
        return connection.exchange(self.message(connection, headers))

    def message(self, connection, headers=None):
        """The bytes of the whole request."""
        head = json.dumps(self.head()).encode()
        body = head + b"".join(tensor.data for tensor in self.inputs)
        headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"} | (
            headers or {}
        )
        return connection.message("POST", f"/v2/models/{self.model}/infer", headers, body)


def packed(values):
    """BYTES as they travel: each with its length before it."""
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


def unpacked(data):
    """The values of a BYTES tensor."""
    values, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        values.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return values


def outputs_of(answer):
    """Name -> (shape, datatype, bytes) of an answer whose tensors are all binary."""
    head = answer.json()
    at = int(answer.headers["inference-header-content-length"])
    tensors = {}
    for output in head["outputs"]:
        size = output["parameters"]["binary_data_size"]
        tensors[output["name"]] = (output["shape"], output["datatype"], answer.body[at : at + size])
        at += size
    if at != len(answer.body):
        raise ValueError(f"the tensors end at byte {at} of {len(answer.body)}")
    return tensors


def post_json(connection, path, value, headers=None):
    """A POST of JSON."""
    headers = {"Content-Type": "application/json"} | (headers or {})
    return connection.request("POST", path, headers, json.dumps(value).encode())
