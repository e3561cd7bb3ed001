"""YOLOv8 at toy sizes: backbone, neck and the heads of its five tasks, and what is made of their numbers."""

import numpy as np

from case import Weights, smooth_picture, write_case
from layers import batch_norm, conv, max_pool, nearest_twice, resize, sigmoid, silu, softmax, transposed_conv

CHANNELS = {"p1": 4, "p2": 8, "p3": 8, "p4": 12, "p5": 16}
BINS = 16
STRIDES = (8, 16, 32)


class Yolo:
    def __init__(self, seed, extra=0, classes=3, epsilon=1e-3):
        self.weights, self.extra, self.classes, self.epsilon = Weights(seed), extra, classes, epsilon

    def block(self, name, x, outputs, side=1, stride=1):
        weight = self.weights.linear(f"{name}.conv.weight", (outputs, x.shape[1], side, side), 1.6)
        return silu(batch_norm(self.weights, f"{name}.bn", conv(x, weight, None, stride, side // 2), self.epsilon))

    def c2f(self, name, x, outputs, shortcut, repeats=1):
        parts = list(np.split(self.block(f"{name}.cv1", x, outputs), 2, axis=1))
        for i in range(repeats):
            y = self.block(f"{name}.m.{i}.cv1", parts[-1], outputs // 2, 3)
            y = self.block(f"{name}.m.{i}.cv2", y, outputs // 2, 3)
            parts.append(parts[-1] + y if shortcut else y)
        return self.block(f"{name}.cv2", np.concatenate(parts, 1), outputs)

    def backbone(self, x):
        """Layers 0 to 8; gives P3, P4 and P5."""
        c = CHANNELS
        x = self.block("model.0", x, c["p1"], 3, 2)
        x = self.block("model.1", x, c["p2"], 3, 2)
        x = self.c2f("model.2", x, c["p2"], True)
        p3 = self.c2f("model.4", self.block("model.3", x, c["p3"], 3, 2), c["p3"], True, 2)
        p4 = self.c2f("model.6", self.block("model.5", p3, c["p4"], 3, 2), c["p4"], True)
        p5 = self.c2f("model.8", self.block("model.7", p4, c["p5"], 3, 2), c["p5"], True)
        return p3, p4, p5

    def neck(self, p3, p4, p5):
        c = CHANNELS
        pooled = [self.block("model.9.cv1", p5, c["p5"] // 2)]
        for _ in range(3):
            pooled.append(max_pool(pooled[-1], 5, 1, 2))
        sppf = self.block("model.9.cv2", np.concatenate(pooled, 1), c["p5"])
        up4 = self.c2f("model.12", np.concatenate([nearest_twice(sppf), p4], 1), c["p4"], False)
        out3 = self.c2f("model.15", np.concatenate([nearest_twice(up4), p3], 1), c["p3"], False)
        out4 = self.c2f("model.18", np.concatenate([self.block("model.16", out3, c["p3"], 3, 2), up4], 1), c["p4"], False)
        out5 = self.c2f("model.21", np.concatenate([self.block("model.19", out4, c["p4"], 3, 2), sppf], 1), c["p5"], False)
        return sppf, (out3, out4, out5)

    def branch(self, name, x, hidden, outputs, gain):
        x = self.block(f"{name}.0", x, hidden, 3)
        x = self.block(f"{name}.1", x, hidden, 3)
        return conv(x, self.weights.linear(f"{name}.2.weight", (outputs, hidden, 1, 1), gain), self.weights.bias(f"{name}.2.bias", outputs))

    def prototypes(self, p3, hidden=8, count=6, name="model.22.proto"):
        x = self.block(f"{name}.cv1", p3, hidden, 3)
        weight = self.weights.linear(f"{name}.upsample.weight", (hidden, hidden, 2, 2), 2.0)
        x = transposed_conv(x, weight, self.weights.bias(f"{name}.upsample.bias", hidden))
        return self.block(f"{name}.cv3", self.block(f"{name}.cv2", x, hidden, 3), count)

    def detector(self, picture):
        """Raw numbers per anchor, levels joined: boxes, scores and extras; the maps beside them."""
        sppf, levels = self.neck(*self.backbone(picture))
        raw = {"boxes": [], "scores": [], "extras": []}
        self.weights.put("model.22.dfl.conv.weight", np.arange(BINS).reshape(1, BINS, 1, 1))
        for i, level in enumerate(levels):
            flat = lambda map: map.reshape(*map.shape[:2], -1)
            raw["boxes"].append(flat(self.branch(f"model.22.cv2.{i}", level, 16, 4 * BINS, 3.0)))
            raw["scores"].append(flat(self.branch(f"model.22.cv3.{i}", level, 8, self.classes, 2.0)))
            if self.extra:
                raw["extras"].append(flat(self.branch(f"model.22.cv4.{i}", level, 8, self.extra, 1.5)))
        return {key: np.concatenate(parts, 2) for key, parts in raw.items() if parts}, sppf, levels


def anchors(height, width):
    """Centres in cells, [2, anchors], and the stride of each."""
    centres, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[0 : height // stride, 0 : width // stride] + 0.5
        centres.append(np.stack([x.ravel(), y.ravel()]))
        strides.append(np.full(x.size, stride))
    return np.concatenate(centres, 1), np.concatenate(strides)


def decode(raw, size, angle=None):
    """[B, 4 + classes, anchors]: boxes as centre and size in pixels, and probabilities."""
    centres, strides = anchors(*size)
    boxes = raw["boxes"]
    distances = softmax(boxes.reshape(boxes.shape[0], 4, BINS, -1).swapaxes(2, 3)) @ np.arange(BINS)
    near, far = distances[:, :2], distances[:, 2:]
    middle = (far - near) / 2
    if angle is not None:
        x, y = middle[:, :1], middle[:, 1:]
        middle = np.concatenate([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], 1)
    xywh = np.concatenate([centres + middle, near + far], 1) * strides
    return np.concatenate([xywh, sigmoid(raw["scores"])], 1)


def keypoints(raw, size, dims=3):
    centres, strides = anchors(*size)
    points = raw.reshape(raw.shape[0], -1, dims, raw.shape[2])
    place = (2 * points[:, :, :2] + centres - 0.5) * strides
    seen = sigmoid(points[:, :, 2:])
    return np.concatenate([place, seen], 2).reshape(raw.shape)


def suppressed(pred, classes, conf, iou):
    """Rows of box, score, class and extras, best first: greedy, every class for itself."""
    rows = []
    for column in pred.T:
        best = int(column[4 : 4 + classes].argmax())
        score = column[4 + best]
        if score > conf:
            centre, half = column[:2], column[2:4] / 2
            rows.append(np.concatenate([centre - half, centre + half, [score, best], column[4 + classes :]]))
    rows.sort(key=lambda row: -row[4])
    kept = []
    for row in rows:
        if all(other[5] != row[5] or overlap(other, row) <= iou for other in kept):
            kept.append(row)
    return np.array(kept).reshape(len(kept), -1)


def overlap(a, b):
    sides = np.clip(np.minimum(a[2:4], b[2:4]) - np.maximum(a[:2], b[:2]), 0, None)
    area = lambda row: (row[2] - row[0]) * (row[3] - row[1])
    return sides.prod() / (area(a) + area(b) - sides.prod())


def masks(rows, protos, size):
    """Masks at the size of the input: enlarged, above nought, cut to the box."""
    logits = resize(np.einsum("nk,khw->nhw", rows[:, 6:], protos)[None], *size)[0]
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    inside = [(x >= x1) & (x < x2) & (y >= y1) & (y < y2) for x1, y1, x2, y2 in rows[:, :4]]
    return (logits > 0) & np.array(inside)


def picture(seed, shape):
    return np.round(smooth_picture(np.random.default_rng(seed), shape) * 255).astype(np.uint8)


def facts(name, about, task, **more):
    tolerance = {"atol": 1e-4, "rtol": 1e-4, "note": "boxes are in pixels"}
    return {"family": "yolov8", "case": name, "about": about, "config": {"task": task}, "tolerance": tolerance} | more


def make_detector(folder, seed, task, extra, shapes):
    model = Yolo(seed, extra)
    inputs, outputs, post = {}, {}, []
    for i, shape in enumerate(shapes):
        pixels = picture([seed, i], shape)
        call, size = f"x{i}", shape[2:]
        inputs[f"{call}.u8"] = pixels
        raw, sppf, levels = model.detector(pixels / 255)
        angle = (sigmoid(raw["extras"]) - 0.25) * np.pi if task == "obb" else None
        pred = [decode(raw, size, angle)]
        outputs |= {f"{call}.raw_boxes": raw["boxes"], f"{call}.raw_scores": raw["scores"], f"{call}.sppf": sppf}
        outputs |= {f"{call}.{name}": level for name, level in zip(("p3", "p4", "p5"), levels)}
        if task == "obb":
            outputs |= {f"{call}.raw_angle": raw["extras"], f"{call}.angle": angle}
            pred.append(angle)
        elif task == "pose":
            outputs[f"{call}.kpts_raw"] = raw["extras"]
            pred.append(keypoints(raw["extras"], size))
        elif task == "segment":
            outputs |= {f"{call}.mask_coefficient": raw["extras"], f"{call}.proto": model.prototypes(levels[0])}
            pred.append(raw["extras"])
        # What follows starts at the stored numbers, as the check does.
        pred = np.concatenate(pred, 1).astype(np.float32)
        outputs[f"{call}.pred"] = pred
        if task == "obb":
            continue
        post.append({"call": f"{call}.nms_default", "conf_thres": 0.25, "iou_thres": 0.7})
        rows = [suppressed(one.astype(np.float64), model.classes, 0.25, 0.7) for one in pred]
        outputs |= {f"{call}.nms_default.b{b}.dets": row for b, row in enumerate(rows)}
        if task == "segment":
            post.append({"call": f"{call}.masks", "native_shape": list(size)})
            protos = outputs[f"{call}.proto"][0].astype(np.float32).astype(np.float64)
            outputs[f"{call}.masks"] = masks(rows[0].astype(np.float32).astype(np.float64)[:4], protos, size)
    about = facts(folder.name, f"{task}, channels {list(CHANNELS.values())}", task, postprocess=post)
    if task == "pose":
        about["config"]["kpt_shape"] = [extra // 3, 3]
    write_case(folder, about, model.weights, inputs, outputs)


def make_classifier(folder, seed):
    # The official code sets 1e-3 in detectors and leaves PyTorch's default in classifiers.
    model = Yolo(seed, epsilon=1e-5)
    weights = model.weights
    pixels = picture(seed, (2, 3, 64, 96))
    x = model.block("model.9.conv", model.backbone(pixels / 255)[2], 24).mean((2, 3))
    logits = x @ weights.linear("model.9.linear.weight", (5, 24), 3.0).T + weights.bias("model.9.linear.bias", 5)
    outputs = {"x0.logits": logits, "x0.prob": softmax(logits)}
    about = facts(folder.name, "two pictures that are not square", "classify")
    write_case(folder, about, weights, {"x0.u8": pixels}, outputs)


def make(folder):
    make_detector(folder / "yolov8_detect", 11, "detect", 0, [(1, 3, 96, 64), (2, 3, 64, 64)])
    make_detector(folder / "yolov8_segment", 12, "segment", 6, [(1, 3, 64, 96)])
    make_detector(folder / "yolov8_pose", 13, "pose", 9, [(1, 3, 64, 96)])
    make_detector(folder / "yolov8_obb", 14, "obb", 1, [(1, 3, 96, 64)])
    make_classifier(folder / "yolov8_classify", 15)
