"""Mutations of files: of bytes, and of what the bytes mean (headers, opcodes, chunks), so that a reader is not stopped by the first checksum."""

import io
import json
import pickletools
import random
import struct
import warnings
import zipfile
import zlib

import protobuf

# Numbers at which programs go wrong.
NUMBERS = [0, 1, 2, 3, 7, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1]


def mutate(kind: str, data: bytes, rng: random.Random) -> bytes:
    """The mutated content of a file of this kind; now and then, of plain bytes."""
    if rng.random() < 0.25:
        return of_bytes(data, rng)
    try:
        # Several changes one after the other may leave nothing that the next one could change.
        mutated = BY_KIND.get(kind, of_fields)(data, rng)
    except (ValueError, TypeError, LookupError, StopIteration, struct.error, zlib.error, zipfile.BadZipFile):
        return of_bytes(data, rng)
    return mutated if mutated != data else of_bytes(data, rng)


def of_bytes(data: bytes, rng: random.Random) -> bytes:
    """Bits, blocks and ends."""
    out = bytearray(data)
    match rng.randrange(6):
        case 0:
            for _ in range(rng.choice([1, 2, 8, 64])):
                place = near_start(len(out), rng)
                out[place : place + 1] = bytes([out[place] ^ 1 << rng.randrange(8)]) if out else b"\0"
        case 1:
            del out[near_start(len(out), rng) :]
        case 2:
            size = min(rng.choice([1, 4, 16, 256, 4096]), max(1, len(out) // 2))
            a, b = near_start(len(out), rng), near_start(len(out), rng)
            out[a : a + size], out[b : b + size] = bytes(out[b : b + size]), bytes(out[a : a + size])
        case 3:
            place, size = near_start(len(out), rng), rng.choice([1, 4, 64, 1024])
            out[place : place + size] = rng.choice([b"\0", b"\xff", bytes([rng.randrange(256)])]) * size
        case 4:
            place, size = near_start(len(out), rng), rng.choice([1, 2, 8, 512])
            out[place:place] = rng.randbytes(size)
        case _:
            place, size = near_start(len(out), rng), rng.choice([1, 2, 8, 512])
            del out[place : place + size]
    return bytes(out)


def near_start(length: int, rng: random.Random) -> int:
    """A place in a file, half of the time in its first kilobyte, where headers are."""
    return rng.randrange(max(1, min(length, 1024) if rng.random() < 0.5 else length))


def of_fields(data: bytes, rng: random.Random) -> bytes:
    """A 1, 2, 4 or 8 byte number in the header, in either byte order."""
    out = bytearray(data)
    size = rng.choice([1, 2, 4, 4, 8])
    place = rng.randrange(max(1, min(len(out), 128) - size))
    out[place : place + size] = (number(rng) % 256**size).to_bytes(size, rng.choice(["little", "big"]))
    return bytes(out)


def number(rng: random.Random) -> int:
    return rng.choice(NUMBERS) if rng.random() < 0.8 else rng.getrandbits(rng.choice([8, 16, 32, 64]))


# --- JSON


def of_json(data: bytes, rng: random.Random) -> bytes:
    """Prompt files, configurations, annotations."""
    value = json.loads(data.decode("utf-8-sig"))
    for _ in range(rng.choice([1, 1, 2, 4])):
        value = changed_json(value, rng)
    text = json.dumps(value)
    match rng.randrange(12):
        case 0:
            return b"\xef\xbb\xbf" + text.encode()
        case 1:
            return text.encode("utf-16")
        case 2:
            return text.replace('"box"', '"box": [1, 2, 3, 4], "box"', 1).encode()
        case 3:
            return (("[" * 5000) + text + ("]" * 5000)).encode()
        case _:
            return text.encode("utf-8", "surrogatepass")


def changed_json(value, rng: random.Random):
    """The value with one node of it changed."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        out = dict(value)
        match rng.randrange(8):
            case 0:
                del out[key]
            case 1:
                out[rng.choice(["", key + "x", "\ud800", key.upper(), "points", "mask", "__proto__"])] = out.pop(key)
            case _:
                out[key] = changed_json(value[key], rng)
        return out
    if isinstance(value, list) and value and rng.random() < 0.85:
        out, place = list(value), rng.randrange(len(value))
        match rng.randrange(8):
            case 0:
                del out[place]
            case 1:
                out[place:place] = [out[place]] * rng.choice([1, 2, 30])
            case _:
                out[place] = changed_json(out[place], rng)
        return out
    if isinstance(value, (int, float)) and rng.random() < 0.6:
        return rng.choice([value + 1, -value, value * 2, value / 3, value + 0.5, str(value), number(rng), float(value), 1e39])
    return rng.choice(
        [None, True, -1, 0, 1, 0.5, -0.0, 1e308, -1e39, 1e-320, 2**31, 2**63, 2**64, float("nan"), float("inf"), "", "x" * 100000, "\0",
         "../x.png", "photo.png", [], {}, [[]], [None], [[0, 0]], [-1, -1, 1e9, 1e9], {"size": [80, 120], "counts": [9600]},
         {"size": [2**32, 2**32], "counts": "0"}, {"size": [80, 120], "counts": [2**31, 2**31]}, [[0, 0, 9, 0, 9, 9]], [[1e5] * 6],
         {"points": [[5, 5]] * 1000}, number(rng), rng.random() * 200]
    )


# --- safetensors


def of_safetensors(data: bytes, rng: random.Random) -> bytes:
    """The header's JSON, its length, or the numbers of the tensors."""
    length = struct.unpack("<Q", data[:8])[0]
    header, rest = json.loads(data[8 : 8 + length]), bytearray(data[8 + length :])
    pick = rng.randrange(10)
    if pick == 0:
        return struct.pack("<Q", number(rng) % 2**64) + data[8:]
    if pick == 1:
        place = rng.randrange(max(1, len(rest) - 4)) & ~3
        rest[place : place + 4] = struct.pack("<f", rng.choice([float("nan"), float("inf"), -3e38, 1e-45]))
    else:
        for _ in range(rng.choice([1, 1, 3])):
            header = changed_header(header, rng) if isinstance(header, dict) else changed_json(header, rng)
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + bytes(rest)


def changed_header(header: dict, rng: random.Random):
    """One tensor with another name, shape, type or place."""
    out = dict(header)
    names = [name for name in out if isinstance(out[name], dict) and "shape" in out[name]] or [""]
    name, other = rng.choice(names), rng.choice(names)
    entry = dict(out.get(name) or {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]})
    shape, offsets = list(entry.get("shape") or []), list(entry.get("data_offsets") or [0, 0])
    match rng.randrange(9):
        case 0:
            entry["shape"] = shape[::-1]
        case 1:
            place = rng.randrange(len(shape) + 1)
            entry["shape"] = shape[:place] + [number(rng)] + shape[place + rng.randrange(2) :]
        case 2:
            entry["dtype"] = rng.choice(["F16", "BF16", "F64", "I64", "BOOL", "F8_E4M3", "", "f32", 5])
        case 3:
            offsets[rng.randrange(2)] = number(rng)
            entry["data_offsets"] = offsets
        case 4:
            entry["data_offsets"] = (out.get(other) or entry).get("data_offsets", offsets)
        case 5:
            out.pop(name, None)
            return out
        case 6:
            out[rng.choice([name + "x", "", "x" * 70000, name.replace("0", "7"), other])] = out.pop(name, entry)
            return out
        case 7:
            return changed_json(out, rng)
        case _:
            out["__metadata__"] = rng.choice([None, {"a": 5}, {"format": "pt" * 1000}, []])
            return out
    out[name] = entry
    return out


# --- PyTorch


def of_torch(data: bytes, rng: random.Random) -> bytes:
    """The pickle in the archive, or the archive's entries; checksums are right."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    places = [index for index, (name, _) in enumerate(entries) if name.endswith("data.pkl")]
    if places and rng.random() < 0.8:
        name, pickle = entries[places[0]]
        entries[places[0]] = (name, changed_pickle(pickle, rng))
    else:
        place = rng.randrange(len(entries))
        name, content = entries[place]
        match rng.randrange(5):
            case 0:
                del entries[place]
            case 1:
                entries.append((name, content[::-1]))
            case 2:
                entries[place] = (rng.choice(["../../x", "", name + "/", "/" + name, name.upper()]), content)
            case 3:
                entries[place] = (name, of_bytes(content, rng))
            case _:
                entries[place] = (name, b"\0" * 50_000_000)
    return archived(entries, rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))


def archived(entries: list, compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    # Two entries of one name are meant.
    warnings.filterwarnings("ignore", message="Duplicate name")
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name or "x"), content, compression)
    return out.getvalue()


def changed_pickle(pickle: bytes, rng: random.Random) -> bytes:
    """One opcode changed, taken away, doubled or exchanged."""
    places = [place for _, _, place in pickletools.genops(pickle)] + [len(pickle)]
    index = rng.randrange(len(places) - 1)
    start, end = places[index], places[index + 1]
    op = pickle[start:end]
    match rng.randrange(9):
        case 0:
            new = b""
        case 1:
            new = op * rng.choice([2, 3, 1000])
        case 2:
            new = bytes([rng.randrange(256)]) + op[1:]
        case 3:
            new = op[:1] + rng.randbytes(len(op) - 1)
        case 4 if len(op) >= 5:
            new = op[:1] + struct.pack("<I", number(rng) % 2**32) + op[5:]
        case 5:
            new = rng.choice([b"cos\nsystem\n", b"cbuiltins\neval\n", b"(X\x01\0\0\0xtR", b"0", b"1", b"2", b".", b"]", b"}", b"e", b"u", b"Q", b"b"]) + op
        case 6:
            new = rng.choice([b"(", b"]", b"}", b")", b"N\x85", b"]q\0(h\0h\0h\0h\0e"]) * rng.choice([1, 100, 100000]) + op
        case 7:
            new = rng.choice([b"\x8a\xff" + b"\xff" * 255, b"I" + b"9" * 5000 + b"\n", b"L-1L\n", b"Gnananana", b"\x8b" + struct.pack("<i", 2**31 - 1)]) + op
        case _:
            other = rng.randrange(len(places) - 1)
            new = pickle[places[other] : places[other + 1]]
    return pickle[:start] + new + pickle[end:]


# --- ONNX


def of_onnx(data: bytes, rng: random.Random) -> bytes:
    """One field of the protobuf changed; the lengths around it are right."""
    return protobuf.changed(data, rng, number)


# --- Pictures


def of_png(data: bytes, rng: random.Random) -> bytes:
    """Chunks with right checksums, and rows with right compression."""
    chunks, place = [], 8
    while place + 8 <= len(data):
        size = struct.unpack(">I", data[place : place + 4])[0]
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += 12 + size
    index = rng.randrange(len(chunks))
    name, content = chunks[index]
    match rng.randrange(7):
        case 0:
            header = bytearray(chunks[0][1])
            where, size = rng.choice([(0, 4), (4, 4), (8, 1), (9, 1), (10, 1), (11, 1), (12, 1)])
            header[where : where + size] = (number(rng) % 256**size).to_bytes(size, "big")
            chunks[0] = (chunks[0][0], bytes(header))
        case 1:
            del chunks[index]
        case 2:
            chunks[index:index] = [(name, content)] * rng.choice([1, 2, 50])
        case 3:
            extra = rng.choice([b"iCCP", b"zTXt", b"iTXt", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"PLTE", b"tRNS", b"gAMA", b"XXXX", b"IDAT"])
            body = rng.choice([b"", rng.randbytes(40), b"x\0\0" + zlib.compress(b"\0" * 20_000_000), struct.pack(">II", number(rng) % 2**32, 0)])
            chunks.insert(rng.choice([1, index]), (extra, body))
        case 4 | 5:
            packed = b"".join(content for name, content in chunks if name == b"IDAT")
            rows = zlib.decompress(packed)
            rows = rng.choice([of_bytes(rows, rng), rows[: len(rows) // 2], rows * 3, b"\x09" + rows[1:], b""])
            place = next(index for index, (name, _) in enumerate(chunks) if name == b"IDAT")
            chunks = [chunk for chunk in chunks if chunk[0] != b"IDAT"]
            chunks.insert(place, (b"IDAT", zlib.compress(rows)))
        case _:
            chunks[index] = (name, of_bytes(content, rng))
    return png(chunks)


def png(chunks: list) -> bytes:
    """A PNG file of chunks."""
    out = b"\x89PNG\r\n\x1a\n"
    for name, content in chunks:
        out += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return out


def of_jpeg(data: bytes, rng: random.Random) -> bytes:
    """Segments: their lengths, order, and content; the size in the frame header."""
    segments, place = [], 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        size = struct.unpack(">H", data[place + 2 : place + 4])[0]
        segments.append(data[place : place + 2 + size])
        place += 2 + size
    rest = data[place:]
    index = rng.randrange(len(segments))
    segment = segments[index]
    match rng.randrange(8):
        case 0:
            segments[index] = segment[:2] + struct.pack(">H", number(rng) % 65536) + segment[4:]
        case 1:
            frame = next(i for i, s in enumerate(segments) if s[1] in (0xC0, 0xC1, 0xC2))
            where, size = rng.choice([(4, 1), (5, 2), (7, 2), (9, 1), (11, 1), (12, 1)])
            out = bytearray(segments[frame])
            out[where : where + size] = (number(rng) % 256**size).to_bytes(size, "big")
            segments[frame] = bytes(out)
        case 2:
            del segments[index]
        case 3:
            segments.insert(rng.randrange(len(segments)), segment)
        case 4:
            order, value = rng.choice([(b"II*\0", "<"), (b"MM\0*", ">")]), number(rng) % 2**32
            body = b"Exif\0\0" + order[0] + struct.pack(order[1] + "IHHHII", rng.choice([8, value]), rng.choice([1, 65535]), 0x112, 3, 1, value)
            segments.insert(0, b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body)
        case 5:
            segments[index] = segment[:4] + of_bytes(segment[4:], rng)
        case 6:
            rest = rest[:20] + of_bytes(rest[20:], rng)
        case _:
            marker = rng.choice([b"\xff\xc2", b"\xff\xc9", b"\xff\xc3", b"\xff\xdd\x00\x04\x00\x01", b"\xff\xd0", b"\xff\xd9"])
            segments.insert(index, marker)
    return data[:2] + b"".join(segments) + rest


BY_KIND = {
    "safetensors": of_safetensors,
    "torch": of_torch,
    "onnx": of_onnx,
    "png": of_png,
    "jpeg": of_jpeg,
    "prompts": of_json,
    "config": of_json,
    "annotations": of_json,
}
