"""Small ONNX graphs that a server of raw tensors is tried with: `graphs.py DIR` writes them and prints the flags that
serve them.

- `identity_<type>`: INPUT [n, m] -> OUTPUT, both sizes free, for every number type of the protocol;
- `add_sub`: INPUT0, INPUT1 f32 [n, 16] -> OUTPUT0 (sum), OUTPUT1 (difference);
- `slow`: INPUT f32 [1, 16] -> OUTPUT, the same numbers, after `--rounds` products of two 512 x 512 matrices (about 50 ms on one
  core at the default), for queues and cancellation. Its one row is fixed, so that nothing is joined.

`--check` runs each with ONNX Runtime, if that is installed.
"""

import argparse
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

TYPES = {
    "fp32": TensorProto.FLOAT,
    "fp16": TensorProto.FLOAT16,
    "fp64": TensorProto.DOUBLE,
    "bool": TensorProto.BOOL,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
}
SIDE = 512


def model(name, nodes, inputs, outputs, initializers=()):
    """A checked model of opset 17."""
    graph = helper.make_graph(nodes, name, inputs, outputs, list(initializers))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="maskline")
    onnx.checker.check_model(made, full_check=True)
    return made


def identity(type_name):
    """OUTPUT is INPUT."""
    described = [helper.make_tensor_value_info(name, TYPES[type_name], ["n", "m"]) for name in ("INPUT", "OUTPUT")]
    return model(
        f"identity_{type_name}", [helper.make_node("Identity", ["INPUT"], ["OUTPUT"])], described[:1], described[1:]
    )


def add_sub():
    """Sum and difference."""
    described = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 16])
        for name in ("INPUT0", "INPUT1", "OUTPUT0", "OUTPUT1")
    ]
    nodes = [
        helper.make_node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]),
        helper.make_node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"]),
    ]
    return model("add_sub", nodes, described[:2], described[2:])


def slow(rounds):
    """OUTPUT is INPUT times the mean of a matrix of ones that was multiplied `rounds` times by one that averages its rows.

    Every number is exact in binary, so the mean is 1; the ones come from the input's size, so that nothing can be computed when
    the graph is loaded.
    """
    matrix = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["state", "averaging"], ["next"]),
            helper.make_node("Identity", ["going"], ["still_going"]),
        ],
        "round",
        [
            matrix("round", TensorProto.INT64, []),
            matrix("going", TensorProto.BOOL, []),
            matrix("state", TensorProto.FLOAT, [SIDE, SIDE]),
        ],
        [matrix("still_going", TensorProto.BOOL, []), matrix("next", TensorProto.FLOAT, [SIDE, SIDE])],
    )
    constants = {
        "averaging": numpy.full((SIDE, SIDE), 1 / SIDE, numpy.float32),
        "sides": numpy.array([SIDE, SIDE], numpy.int64),
        "rounds": numpy.array(rounds, numpy.int64),
        "yes": numpy.array(True),
        "minus_one": numpy.array(-1, numpy.int64),
    }
    nodes = [
        helper.make_node("Size", ["INPUT"], ["size"]),
        helper.make_node("Greater", ["size", "minus_one"], ["has_size"]),
        helper.make_node("Cast", ["has_size"], ["one"], to=TensorProto.FLOAT),
        helper.make_node("Expand", ["one", "sides"], ["ones"]),
        helper.make_node("Loop", ["rounds", "yes", "ones"], ["last"], body=body),
        helper.make_node("ReduceMean", ["last"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["INPUT", "mean"], ["OUTPUT"]),
    ]
    described = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 16]) for name in ("INPUT", "OUTPUT")]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    return model("slow", nodes, described[:1], described[1:], tensors)


def write(folder, rounds=30, only=None):
    """Writes the graphs (all, or those named by `only`) and gives the arguments of `maskline serve` that serve them."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    graphs = {f"identity_{name}": identity(name) for name in TYPES} | {"add_sub": add_sub(), "slow": slow(rounds)}
    flags = []
    for name, graph in graphs.items():
        if only is None or name in only:
            onnx.save(graph, folder / f"{name}.onnx")
            flags += ["--graph", f"{name}={folder / name}.onnx"]
    return flags


def check(folder):
    """Runs each graph and compares; says how long `slow` takes."""
    import time

    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for path in sorted(Path(folder).glob("*.onnx")):
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for rows in (1,) if path.stem == "slow" else (0, 1, 3):
            feeds = {}
            for tensor in session.get_inputs():
                number_type = onnx.helper.tensor_dtype_to_np_dtype(
                    onnx.load(path).graph.input[0].type.tensor_type.elem_type
                )
                feeds[tensor.name] = (numpy.arange(rows * 16) % 2).reshape(rows, 16).astype(number_type)
            start = time.perf_counter()
            outputs = session.run(None, feeds)
            took = time.perf_counter() - start
            expected = (
                [feeds["INPUT"]]
                if "INPUT" in feeds
                else [feeds["INPUT0"] + feeds["INPUT1"], feeds["INPUT0"] - feeds["INPUT1"]]
            )
            for output, wanted in zip(outputs, expected, strict=True):
                if output.dtype != wanted.dtype or not numpy.array_equal(output, wanted):
                    raise SystemExit(f"{path}: {rows} rows: another answer than expected")
        print(f"{path.stem}: as expected, {took * 1e3:.2f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", type=Path)
    parser.add_argument("--rounds", type=int, default=30, help="how long `slow` takes (default %(default)s)")
    parser.add_argument("--check", action="store_true", help="run them with ONNX Runtime")
    arguments = parser.parse_args()
    flags = write(arguments.folder, arguments.rounds)
    if arguments.check:
        check(arguments.folder)
    print("maskline serve " + " ".join(str(flag) for flag in flags))


if __name__ == "__main__":
    main()
