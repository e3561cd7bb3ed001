"""EfficientViT-SAM L0 on the CPU: maskline against the official way in PyTorch, 47 boxes and clicks on a photo.

Both use the same checkpoint with random weights, made on first use. The official predictor takes one box per call; one
call with all boxes is measured as well. See README.md for how to run it and how to read the figures.
"""

import json
import subprocess
import sys

from peer_setup import HERE
from sam_contest import Maskline, Peer, contest, parsed, parser_for

NAME = "efficientvit_sam"


def main():
    options = parsed(parser_for(__doc__, ()))
    setup = [sys.executable, str(HERE / "efficientvit_peers.py"), str(options.results), str(options.photo)]
    subprocess.run(setup, check=True, stdout=sys.stderr)
    checkpoint = options.results / "efficientvit-sam-l0-random.pt"
    tools = {"EfficientViT-SAM, PyTorch": Peer("efficientvit_peers:PyTorch", [checkpoint], options.threads)}
    if options.maskline:
        tools = {"maskline": Maskline(options, checkpoint)} | tools
    facts = json.loads((options.results / "efficientvit-prepared.json").read_text())
    contest(NAME, "EfficientViT-SAM L0 (random weights)", tools, options, facts)


if __name__ == "__main__":
    main()
