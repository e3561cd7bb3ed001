"""How requests are made wrong: in their JSON, their lengths, their headers, their messages, and as bytes."""

import copy
import json

NUMBERS = [-1, 0, 1, 2, 7, 255, 2**15, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63), 1.5, 1e308]
WORDS = [
    "",
    "FP32",
    "BYTES",
    "INT64",
    "BOOL",
    "FP33",
    "INPUT",
    "OUTPUT",
    "\u0000",
    "a" * 5000,
    "../../etc",
    "\ud83d\ude00",
]
ODD = [None, True, [], {}, [[]], [None], {"a": {"b": []}}]
PATHS = [
    "/v2/models/{}/infer",
    "/v2/models/{}/versions/1/infer",
    "/v2/models/{}/versions/-1/infer",
    "/v2/models/%00/infer",
    "/v2/models/../{}/infer",
    "/v2/models/{}/infer?a=%ff",
    "/v2/models//infer",
    "/v2/models/{}/config",
    "/v2/models/{}/stats",
    "/v2/repository/index",
]
HEADERS = [
    ("Content-Encoding", "gzip"),
    ("Content-Encoding", "deflate"),
    ("Content-Encoding", "nonsense"),
    ("Content-Type", "application/json"),
    ("Content-Type", "multipart/form-data"),
    ("Accept-Encoding", "gzip, deflate, br"),
    ("Transfer-Encoding", "chunked"),
    ("Transfer-Encoding", "gzip, chunked"),
    ("Expect", "100-continue"),
    ("Connection", "upgrade"),
    ("Content-Length", "7"),
    ("X-Long", "a" * 20_000),
]


def somewhere(value, drawn):
    """A random container in a JSON value, and a key or place in it; None if there is none."""
    found = []

    def visit(node):
        if isinstance(node, dict):
            found.extend((node, key) for key in node)
            for child in node.values():
                visit(child)
        elif isinstance(node, list):
            found.extend((node, at) for at in range(len(node)))
            for child in node:
                visit(child)

    visit(value)
    return drawn.choice(found) if found else None


def json_value(value, drawn):
    """A JSON value with one thing replaced, removed, repeated or added; the original stays."""
    value = copy.deepcopy(value)
    place = somewhere(value, drawn)
    if place is None:
        return value
    container, key = place
    way = drawn.randrange(5)
    if way == 0:
        container[key] = drawn.choice(NUMBERS)
    elif way == 1:
        container[key] = drawn.choice(WORDS)
    elif way == 2:
        container[key] = copy.deepcopy(drawn.choice(ODD))
    elif way == 3:
        del container[key]
    elif isinstance(container, list):
        container.extend([copy.deepcopy(container[key])] * drawn.choice([1, 1, 2, 300]))
    else:
        container[drawn.choice(WORDS)] = copy.deepcopy(container[key])
    return value


def flipped(data, drawn, most=4):
    """Bytes with a few of them changed, cut, repeated, or with some put between."""
    data = bytearray(data)
    for _ in range(drawn.randint(1, most)):
        at = drawn.randrange(len(data) + 1)
        way = drawn.randrange(5)
        if way == 0 and at < len(data):
            data[at] ^= 1 << drawn.randrange(8)
        elif way == 1 and at < len(data):
            data[at] = drawn.choice((0, 0xFF, 0x7F, 0x80, drawn.randrange(256)))
        elif way == 2:
            del data[at : at + drawn.choice((1, 4, 64, len(data)))]
        elif way == 3:
            data[at:at] = data[at : at + drawn.choice((1, 4, 64))]
        else:
            data[at:at] = drawn.randbytes(drawn.choice((1, 4, 9)))
    return bytes(data)


def http_request(asked, connection, drawn):
    """A request of the binary extension that was valid: bytes of a whole HTTP message, wrong in one or two ways."""
    head, tail = asked.head(), b"".join(tensor.data for tensor in asked.inputs)
    ways = drawn.sample(range(8), drawn.choice((1, 1, 1, 2)))
    if 0 in ways:
        for _ in range(drawn.choice((1, 1, 3))):
            head = json_value(head, drawn)
    encoded = json.dumps(head).encode()
    if 1 in ways:
        encoded = flipped(encoded, drawn)
    if 2 in ways:
        tail = flipped(tail, drawn)
    length = len(encoded)
    if 3 in ways:
        length = drawn.choice((length - 1, length + 1, length + len(tail), length + len(tail) + 1, 0, *NUMBERS))
    headers = {"Inference-Header-Content-Length": str(length), "Content-Type": "application/octet-stream"}
    path = PATHS[0]
    if 4 in ways:
        name, value = drawn.choice(HEADERS)
        headers[name] = value
    if 5 in ways:
        path = drawn.choice(PATHS)
    body = encoded + tail
    message = connection.message(drawn.choice(("POST",) * 9 + ("PUT",)), path.format(asked.model), headers, body)
    if 6 in ways:
        start = message.index(b"\r\n\r\n")
        message = flipped(message[:start], drawn) + message[start:]
    if 7 in ways:
        message = message[: drawn.randrange(1, len(message))]
    return message


def grpc_message(request, drawn):
    """A `ModelInferRequest` that was valid, wrong in its fields or in its bytes: bytes of a message."""
    request = copy.deepcopy(request)
    way = drawn.randrange(8)
    tensor = drawn.choice(request.inputs)
    if way == 0:
        kept = list(tensor.shape)
        del tensor.shape[:]
        tensor.shape.extend(
            drawn.choice([n for n in NUMBERS if isinstance(n, int) and -(2**63) <= n < 2**63]) for _ in kept
        )
    elif way == 1:
        tensor.shape.extend([1] * drawn.choice((1, 2, 300)))
    elif way == 2:
        tensor.datatype = drawn.choice([word for word in WORDS if "\ud83d" not in word])
    elif way == 3:
        tensor.name = drawn.choice([word for word in WORDS if "\ud83d" not in word])
    elif way == 4:
        at = drawn.randrange(len(request.raw_input_contents))
        request.raw_input_contents[at] = flipped(request.raw_input_contents[at], drawn)
    elif way == 5:
        contents = drawn.choice(
            (tensor.contents.fp32_contents, tensor.contents.int_contents, tensor.contents.bytes_contents)
        )
        contents.extend([b"abc" if contents is tensor.contents.bytes_contents else 1] * drawn.choice((1, 16, 3000)))
        if drawn.random() < 0.5:
            del request.raw_input_contents[:]
    elif way == 6:
        request.inputs.add().CopyFrom(tensor)
        request.model_version = drawn.choice(("", "1", "0", "-1", "x"))
        request.parameters["timeout"].int64_param = drawn.choice((-1, 0, 1, 2**62))
        request.parameters["priority"].string_param = "x"
    message = request.SerializeToString()
    return flipped(message, drawn) if way == 7 or drawn.random() < 0.15 else message


def is_whole(message):
    """Whether the message surely has all bytes that it promises: one plain Content-Length, and so many after its head."""
    head, end, body = message.partition(b"\r\n\r\n")
    lengths = [
        line.partition(b":")[2].strip() for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
    ]
    return (
        bool(end)
        and len(lengths) == 1
        and lengths[0].isdigit()
        and int(lengths[0]) <= len(body)
        and b"transfer-enc" not in head.lower()
    )
