#!/usr/bin/env python3
"""A long run: whether memory stays flat over thousands of pictures, and whether a run that is ended goes on where it stopped.

    testing/long_run.py --maskline target/release/maskline --count 3000

Makes its pictures itself. Prints the memory after a tenth of the pictures and at the end, with answers that are gathered (COCO, YOLO, JSON
lines); then ends runs by Ctrl-C and by `kill -9`, reads every file that is there, and lets `--resume` do the rest. Exit code 1 if anything is
not as it should be. Python's standard library is enough; Linux only (/proc).
"""

import argparse
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import zlib

MODEL = ["run", "--synthetic", "yolov8n-seg", "--size", "64", "--conf", "0", "--max-detections", "20"]
FORMATS = ["-f", "json,coco,yolo", "-o", "out", "--json"]
# What an allocator keeps beside what is needed, in MB.
SLACK = 24


def picture(path, seed):
    """A PNG of 96 x 64 pixels, like no other."""
    rows = b"".join(b"\0" + bytes((x * 3 + seed * c + y * 5) % 256 for x in range(96) for c in range(3)) for y in range(64))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", 96, 64, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


def resident(pid):
    """Megabytes of a process's memory that are in use."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def begin(arguments, folder):
    command = [arguments.maskline, *MODEL, "in", *FORMATS]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def flat(arguments, folder):
    """Memory after a tenth of the pictures and near the end."""
    process, early, late = begin(arguments, folder), None, None
    for number, line in enumerate(process.stdout, 1):
        json.loads(line)
        if number == arguments.count // 10:
            early = resident(process.pid)
        if number == arguments.count - 1:
            late = resident(process.pid)
    if process.wait() or late is None:
        sys.exit(f"the run of {arguments.count} pictures ended with {process.returncode}")
    print(f"memory: {early:.0f} MB after {arguments.count // 10} pictures, {late:.0f} MB after {arguments.count}")
    return late - early <= SLACK


def ended(arguments, folder, how, after):
    process = begin(arguments, folder)
    for number, _ in enumerate(process.stdout, 1):
        if number == after:
            process.send_signal(how)
    return process.wait()


def whole(folder):
    """Reads every file; how many pictures have an answer."""
    out, labels = folder / "out", 0
    for path in out.iterdir():
        if path.suffix == ".jsonl":
            [json.loads(line) for line in path.read_text().splitlines()]
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".txt" and path.name != "classes.txt":
            [[float(number) for number in line.split()] for line in path.read_text().splitlines()]
            labels += 1
    return labels


def resumed(arguments, folder):
    """How many pictures the next run has done, after runs that were ended in both ways."""
    clean(folder)
    code = ended(arguments, folder, signal.SIGINT, arguments.count // 10)
    by_hand = whole(folder)
    again = subprocess.Popen([arguments.maskline, *MODEL, "in", *FORMATS, "--resume"], cwd=folder, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True)
    for number, _ in enumerate(again.stdout, 1):
        if number == arguments.count // 4:
            again.kill()
    again.wait()
    killed = whole(folder)
    last = subprocess.run([arguments.maskline, *MODEL, "in", *FORMATS, "--resume"], cwd=folder, capture_output=True, text=True)
    rest = len(last.stdout.splitlines())
    images = json.loads((folder / "out" / "coco.json").read_text())["images"]
    lines = (folder / "out" / "results.jsonl").read_text().splitlines()
    print(f"Ctrl-C: exit code {code}, {by_hand} pictures whole; kill -9: {killed} whole; --resume: {rest} more")
    print(f"in the end: {len(images)} pictures in coco.json, {len(lines)} lines in results.jsonl, {whole(folder)} label files")
    everything = len(images) == len(lines) == whole(folder) == arguments.count
    return code == 130 and everything and arguments.count - killed <= rest <= arguments.count - killed + 1


def clean(folder):
    subprocess.run(["rm", "-rf", "out"], cwd=folder, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maskline", required=True, type=os.path.abspath, help="the binary")
    parser.add_argument("--count", type=int, default=3000, help="pictures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "in").mkdir()
        for index in range(arguments.count):
            picture(folder / "in" / f"{index:05}.png", index)
        good = [flat(arguments, folder), resumed(arguments, folder)]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
