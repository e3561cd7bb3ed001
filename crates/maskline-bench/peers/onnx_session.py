"""Sessions of ONNX Runtime with its own defaults, but for the number of threads."""

import onnxruntime


def session(task, part):
    """The session of one part of the bundle, on the CPU; all of a Python user's sessions have all the threads."""
    if part not in task["parts"]:
        raise ValueError(f"the bundle has no part `{part}`, but {', '.join(task['parts'])}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task["threads"]
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(task["parts"][part], options, providers=["CPUExecutionProvider"])
