"""Just enough of protobuf's wire format to change one field of a message and keep the lengths around it right."""

import random
import struct

# Deeper messages, and longer ones, are taken as bytes.
DEEPEST = 8
LONGEST = 1 << 20


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def read_varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(data) or shift > 63:
            raise ValueError("no varint")
        value |= (data[place] & 0x7F) << shift
        shift += 7
        place += 1
        if data[place - 1] < 0x80:
            return value, place


def parsed(data: bytes, depth: int = 0) -> list:
    """Fields as [number, wire type, value]; the value of a length-delimited one is a list of fields where it can be read as such."""
    fields, place = [], 0
    while place < len(data):
        tag, place = read_varint(data, place)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("field 0")
        if wire == 0:
            value, place = read_varint(data, place)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, place = data[place : place + size], place + size
        elif wire == 2:
            size, place = read_varint(data, place)
            value, place = data[place : place + size], place + size
            if len(value) < size:
                raise ValueError("cut off")
            value = nested(value, depth)
        else:
            raise ValueError("a group")
        fields.append([number, wire, value])
    return fields


def nested(value: bytes, depth: int):
    if depth >= DEEPEST or not value or len(value) > LONGEST:
        return value
    try:
        return parsed(value, depth + 1)
    except ValueError:
        return value


def written(fields: list) -> bytes:
    out = b""
    for number, wire, value in fields:
        out += varint(number << 3 | wire)
        if wire == 0:
            out += varint(value)
        elif wire == 2:
            content = value if isinstance(value, bytes) else written(value)
            out += varint(len(content)) + content
        else:
            out += value
    return out


def places(fields: list) -> list:
    """Every field, with the list that holds it."""
    found = []
    for index, (_, _, value) in enumerate(fields):
        found.append((fields, index))
        if isinstance(value, list):
            found += places(value)
    return found


def changed(data: bytes, rng: random.Random, number) -> bytes:
    """The message with a few fields changed."""
    fields = parsed(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        holder, index = rng.choice(places(fields))
        change(holder, index, rng, number)
        if not fields:
            break
    return written(fields)


def change(holder: list, index: int, rng: random.Random, number) -> None:
    field, wire, value = holder[index]
    match rng.randrange(7):
        case 0:
            del holder[index]
        case 1:
            holder.insert(index, [field, wire, value])
        case 2:
            holder[index] = [rng.choice([1, 2, 7, 15, 20, 2**29 - 1]), wire, value]
        case 3:
            holder.reverse()
        case _ if wire == 0:
            holder[index] = [field, wire, number(rng) % 2**64]
        case _ if wire == 2:
            content = value if isinstance(value, bytes) else written(value)
            holder[index] = [field, wire, other_bytes(content, rng, number)]
        case _:
            holder[index] = [field, wire, rng.choice([rng.randbytes(len(value)), struct.pack("<d", float("nan"))[: len(value)]])]


def other_bytes(content: bytes, rng: random.Random, number) -> bytes:
    return rng.choice(
        [b"", content[: len(content) // 2], content + rng.randbytes(9), content[::-1], b"\xff" * len(content), content * 2,
         varint(number(rng) % 2**64), b"x" * 100000, b"{0: 'a', 1: 'b'", b"[640, 99999999999]", b"{0: " * 3000, content.swapcase()]
    )
