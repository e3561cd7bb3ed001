"""Servers as processes: starting, readiness, memory, and their end."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass


@dataclass
class Address:
    """Where a server listens: `host:port` of each protocol, and the process if it is ours."""

    http: str
    grpc: str
    pid: int | None = None


def free_port():
    """A TCP port of the loopback that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(address, path, timeout=10):
    """Status and body of a GET over a connection of its own."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def is_ready(address):
    """Whether the server at `address` (HTTP) says that it is ready; one that does not listen yet is not."""
    try:
        return get(address, "/v2/health/ready", timeout=2)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def wait_until_ready(address, process=None, seconds=120):
    """Returns when the server is ready; says so if its process ends before, or if it takes longer than `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process is not None and process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode} before it was ready")
        if is_ready(address.http):
            return
        time.sleep(0.1)
    raise SystemExit(f"{address.http} was not ready within {seconds} s")


def resident(pid):
    """Resident memory of a process in bytes, from /proc."""
    with open(f"/proc/{pid}/statm") as status:
        return int(status.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def is_alive(pid):
    """Whether the process runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat") as status:
            return status.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


class Server:
    """A `maskline serve` of our own: `arguments` follow `serve`; ports are chosen unless given."""

    def __init__(self, binary, arguments, log=None, http=None, grpc=None):
        self.address = Address(http=f"127.0.0.1:{http or free_port()}", grpc=f"127.0.0.1:{grpc or free_port()}")
        command = [binary, "serve", *arguments, "--http", self.address.http, "--grpc", self.address.grpc]
        self.log = open(log, "wb") if log else subprocess.DEVNULL
        self.process = subprocess.Popen([str(part) for part in command], stdout=self.log, stderr=subprocess.STDOUT)
        self.address.pid = self.process.pid

    def wait_until_ready(self, seconds=180):
        """Returns the address once every model is warm."""
        wait_until_ready(self.address, self.process, seconds)
        return self.address

    def terminate(self):
        """SIGTERM; does not wait."""
        self.process.send_signal(signal.SIGTERM)

    def end(self, seconds=60):
        """SIGTERM if it still runs, and the exit status; a server that does not end in time is killed, and that is said."""
        if self.process.poll() is None:
            self.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise SystemExit(f"the server did not end within {seconds} s of SIGTERM") from None


@contextlib.contextmanager
def maskline(binary, arguments, log=None):
    """A `maskline serve` for the time of a `with`: gives its `Address` once it is ready."""
    server = Server(binary, arguments, log)
    try:
        yield server.wait_until_ready()
    finally:
        server.end()
