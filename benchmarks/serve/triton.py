"""Triton 2.51 with models that do nothing, as a peer and as the oracle of the protocol.

PyPI's nvidia-pytriton carries a real tritonserver with its Python backend; this starts it without pytriton's own
processes around it, which would cost time that is not Triton's. `triton.py --http 8100 --grpc 8101` runs it by hand
until Ctrl-C.

Models: `identity_<type>` for every type of the protocol ([n, m], batches up to 8), `add_sub`, `slow` (50 ms, a queue
of 4).
"""

import argparse
import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from processes import Address, free_port, wait_until_ready

TYPES = (
    "FP32",
    "FP16",
    "FP64",
    "BOOL",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "STRING",
)

IDENTITY = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            tensor = pb_utils.get_input_tensor_by_name(request, "INPUT").as_numpy()
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT", tensor)]))
        return responses
"""

ADD_SUB = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            a, b = (pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in ("INPUT0", "INPUT1"))
            outputs = [pb_utils.Tensor("OUTPUT0", a + b), pb_utils.Tensor("OUTPUT1", a - b)]
            responses.append(pb_utils.InferenceResponse(outputs))
        return responses
"""

SLOW = IDENTITY.replace(
    "        responses = []\n", "        time.sleep(0.05 * len(requests))\n        responses = []\n"
).replace("import triton", "import time\n\nimport triton", 1)

QUEUE = """
dynamic_batching {
  default_queue_policy {
    max_queue_size: 4
    default_timeout_microseconds: 60000000
    allow_timeout_override: true
    timeout_action: REJECT
  }
}
"""


def tensors(kind, names, type_name, dims):
    """The `input` or `output` entries of a config.pbtxt."""
    entry = '{{ name: "{}" data_type: TYPE_{} dims: [ {} ] }}'
    return f"{kind} [ {', '.join(entry.format(name, type_name, dims) for name in names)} ]\n"


def write_model(repository, name, code, config):
    """One folder of a model repository."""
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(code.lstrip())
    (repository / name / "config.pbtxt").write_text(f'name: "{name}"\nbackend: "python"\n' + config)


def write_repository(repository):
    """The models of the module's docstring."""
    for type_name in TYPES:
        name = "identity_" + ("bytes" if type_name == "STRING" else type_name.lower())
        config = (
            "max_batch_size: 8\n"
            + tensors("input", ["INPUT"], type_name, -1)
            + tensors("output", ["OUTPUT"], type_name, -1)
        )
        write_model(repository, name, IDENTITY, config)
    config = "max_batch_size: 8\n" + tensors("input", ["INPUT0", "INPUT1"], "FP32", 16)
    write_model(repository, "add_sub", ADD_SUB, config + tensors("output", ["OUTPUT0", "OUTPUT1"], "FP32", 16))
    config = "max_batch_size: 1\n" + tensors("input", ["INPUT"], "FP32", 16) + tensors("output", ["OUTPUT"], "FP32", 16)
    write_model(repository, "slow", SLOW, config + QUEUE)


def package_folder():
    """Where pytriton lies, found without importing it (its import starts more than is needed)."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None:
        raise SystemExit("nvidia-pytriton is not installed: pip install -r requirements.txt")
    return Path(spec.submodule_search_locations[0])


def write_backend(folder):
    """A backend folder whose stub is that of this Python's version."""
    package = package_folder() / "tritonserver"
    backend = folder / "python"
    shutil.copytree(package / "backends" / "python", backend)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = package / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy(stub, backend)


@contextlib.contextmanager
def running(http=None, grpc=None, log=None, models=None):
    """A tritonserver for the time of a `with`, loaded and ready: gives its `Address`.

    `models` limits what is loaded: each model is a process of its own.
    """
    address = Address(http=f"127.0.0.1:{http or free_port()}", grpc=f"127.0.0.1:{grpc or free_port()}")
    with tempfile.TemporaryDirectory(prefix="triton-") as scratch:
        scratch = Path(scratch)
        write_repository(scratch / "models")
        write_backend(scratch / "backends")
        server = package_folder() / "tritonserver" / "bin" / "tritonserver"
        command = [server, "--model-repository", scratch / "models", "--backend-directory", scratch / "backends"]
        command += [
            "--http-address=127.0.0.1",
            "--grpc-address=127.0.0.1",
            f"--http-port={address.http.rsplit(':')[-1]}",
        ]
        command += [
            f"--grpc-port={address.grpc.rsplit(':')[-1]}",
            "--allow-metrics=false",
            "--model-control-mode=explicit",
        ]
        command += [f"--load-model={model}" for model in models or ["*"]]
        libraries = [package_folder().parent / "nvidia_pytriton.libs", os.environ.get("LD_LIBRARY_PATH")]
        environment = os.environ | {
            "LD_LIBRARY_PATH": ":".join(str(folder) for folder in libraries if folder),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        output = open(log, "wb") if log else subprocess.DEVNULL
        process = subprocess.Popen(
            [str(part) for part in command], env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            address.pid = process.pid
            wait_until_ready(address, process, seconds=120)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--http", type=int, default=8100)
    parser.add_argument("--grpc", type=int, default=8101)
    parser.add_argument("--log", help="file for what Triton says")
    arguments = parser.parse_args()
    # SIGTERM ends the `with` below too, or tritonserver would be left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with running(arguments.http, arguments.grpc, arguments.log) as address, contextlib.suppress(KeyboardInterrupt):
        print(f"ready: http {address.http}, grpc {address.grpc}", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
