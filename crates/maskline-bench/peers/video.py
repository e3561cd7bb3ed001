"""SAM 2.1 on video in PyTorch: `Sam2VideoModel` of transformers, which follows the official predictor's algorithm, frame by frame.

One JSON line in, one out: `{"objects": n}` begins anew, `{"frame": true}` runs the next frame and tells its milliseconds. Frames are
generated, at the network's size and ready for it: bringing a picture there is not timed. Weights are random, which no time depends on.
"""

import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import torch  # noqa: E402
from transformers import Sam2VideoConfig, Sam2VideoModel  # noqa: E402
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession  # noqa: E402

import sam2_sizes  # noqa: E402


class Tracking:
    def __init__(self, architecture):
        torch.manual_seed(0)
        config = Sam2VideoConfig(vision_config=sam2_sizes.vision(architecture))
        self.model = Sam2VideoModel._from_config(config, attn_implementation="sdpa").eval()
        self.frame = torch.randn(3, 1024, 1024)
        self.objects = 0

    def begin(self, objects):
        self.session = Sam2VideoInferenceSession(
            video_height=720,
            video_width=1280,
            inference_device="cpu",
            inference_state_device="cpu",
            video_storage_device="cpu",
            dtype=torch.float32,
        )
        self.objects = objects
        self.index = 0

    @torch.inference_mode()
    def next(self):
        start = time.perf_counter()
        if self.index == 0:
            self.session.add_new_frame(self.frame, 0)
            for number in range(self.objects):
                place = self.session.obj_id_to_idx(number)
                clicks = torch.tensor([[[[100.0 + 30.0 * number, 100.0]]]])
                self.session.add_point_inputs(place, 0, {"point_coords": clicks, "point_labels": torch.ones(1, 1, 1, dtype=torch.int32)})
                self.session.obj_with_new_inputs.append(number)
            self.model(self.session, frame_idx=0)
        else:
            self.model(self.session, frame=self.frame)
        self.index += 1
        return 1e3 * (time.perf_counter() - start)


def main():
    architecture, threads = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(threads)
    tracking = Tracking(architecture)
    for line in sys.stdin:
        asked = json.loads(line)
        if "objects" in asked:
            tracking.begin(asked["objects"])
            answer = {}
        else:
            answer = {"milliseconds": tracking.next()}
        print(json.dumps(answer), flush=True)


main()
