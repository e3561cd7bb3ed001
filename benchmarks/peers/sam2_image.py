"""SAM 2.1 tiny on the CPU: maskline against transformers and the standard ONNX export, 47 boxes and clicks on a photo.

All tools use the same random weights, made on first use. See README.md for how to run it and how to read the figures.
"""

import json
import subprocess
import sys

from peer_setup import HERE
from sam_contest import Maskline, Peer, contest, parsed, parser_for

NAME = "sam2_image"
TOOLS = {"maskline": "maskline", "pytorch": "transformers, PyTorch", "onnx": "ONNX export, ONNX Runtime"}


def main():
    options = parsed(parser_for(__doc__, ("pytorch", "onnx")))
    # In a process of its own, so that this one stays small: a child's peak memory is never less than its parent's.
    setup = [sys.executable, str(HERE / "sam2_setup.py"), str(options.results), str(options.photo)]
    subprocess.run(setup, check=True, stdout=sys.stderr)
    model, encoder, decoder = (
        options.results / name for name in ("sam2.1-tiny-random", "sam2-encoder.onnx", "sam2-decoder.onnx")
    )
    tools = {
        "pytorch": Peer("sam2_peers:Transformers", [model], options.threads),
        "onnx": Peer("sam2_peers:OnnxRuntime", [encoder, decoder], options.threads),
    }
    if options.maskline:
        tools = {"maskline": Maskline(options, model)} | tools
    tools = {TOOLS[key]: tool for key, tool in tools.items() if key not in options.skip}
    facts = json.loads((options.results / "sam2-prepared.json").read_text())
    contest(NAME, "SAM 2.1 tiny (random weights)", tools, options, facts)


if __name__ == "__main__":
    main()
