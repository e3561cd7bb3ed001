"""YOLO11 and YOLO26 at toy sizes: what they do not share with YOLOv8, and the second head of YOLO26."""

import numpy as np

import yolov8
from case import write_case
from layers import batch_norm, conv, max_pool, nearest_twice, sigmoid, silu, softmax
from yolov8 import anchors, facts, masks, picture, suppressed

CHANNELS = {"p1": 4, "p2": 8, "p3": 8, "p4": 12, "p5": 16}
CHOSEN = 300
HEAD = "model.23"


class Yolo(yolov8.Yolo):
    """`is_new`: YOLO26, else YOLO11."""

    def __init__(self, seed, is_new, extra=0, classes=3, epsilon=1e-3):
        super().__init__(seed, extra, classes, epsilon)
        self.is_new, self.bins = is_new, 1 if is_new else 16

    def bare(self, name, x, outputs, side=1, groups=1, stride=1):
        """A convolution without an activation. In networks as deep as these, cells that are all alike would be torn apart by the norms."""
        weight = self.weights.linear(f"{name}.conv.weight", (outputs, x.shape[1] // groups, side, side), 1.6)
        y = conv(x, weight, None, stride, side // 2, groups)
        self.weights.put(f"{name}.bn.running_mean", y.mean((0, 2, 3)))
        self.weights.put(f"{name}.bn.running_var", y.var((0, 2, 3)) + 1.5)
        return batch_norm(self.weights, f"{name}.bn", y, self.epsilon)

    def block(self, name, x, outputs, side=1, stride=1):
        return silu(self.bare(name, x, outputs, side, stride=stride))

    def depthwise(self, name, x):
        return silu(self.bare(name, x, x.shape[1], 3, x.shape[1]))

    def bottleneck(self, name, x, hidden):
        return x + self.block(f"{name}.cv2", self.block(f"{name}.cv1", x, hidden, 3), x.shape[1], 3)

    def nested(self, name, x):
        hidden = x.shape[1] // 2
        way, past = self.block(f"{name}.cv1", x, hidden), self.block(f"{name}.cv2", x, hidden)
        for i in range(2):
            way = self.bottleneck(f"{name}.m.{i}", way, hidden)
        return self.block(f"{name}.cv3", np.concatenate([way, past], 1), x.shape[1])

    def attended(self, name, x):
        """Attention of one head, whose keys are half as wide as its values, and two convolutions."""
        batch, width, rows, columns = x.shape
        keys = width // 2
        cells = self.bare(f"{name}.attn.qkv", x, width + 2 * keys).reshape(batch, width + 2 * keys, -1)
        q, k, v = np.split(cells, [keys, 2 * keys], 1)
        weights = softmax(q.swapaxes(1, 2) @ k * keys**-0.5)
        context = (v @ weights.swapaxes(1, 2)).reshape(x.shape) + self.bare(f"{name}.attn.pe", v.reshape(x.shape), width, 3, width)
        x = x + self.bare(f"{name}.attn.proj", context, width)
        return x + self.bare(f"{name}.ffn.1", self.block(f"{name}.ffn.0", x, 2 * width), width)

    def stage(self, name, x, outputs, link, share=0.5):
        width = int(outputs * share)
        parts = list(np.split(self.block(f"{name}.cv1", x, 2 * width), 2, axis=1))
        if link == "nested":
            parts.append(self.nested(f"{name}.m.0", parts[-1]))
        elif link == "attended":
            parts.append(self.attended(f"{name}.m.0.1", self.bottleneck(f"{name}.m.0.0", parts[-1], width // 2)))
        else:
            parts.append(self.bottleneck(f"{name}.m.0", parts[-1], width // 2))
        return self.block(f"{name}.cv2", np.concatenate(parts, 1), outputs)

    def backbone(self, x):
        c = CHANNELS
        x = self.block("model.0", x, c["p1"], 3, 2)
        x = self.stage("model.2", self.block("model.1", x, c["p2"], 3, 2), 16, "narrow", 0.25)
        p3 = self.stage("model.4", self.block("model.3", x, c["p3"], 3, 2), 16, "narrow", 0.25)
        p4 = self.stage("model.6", self.block("model.5", p3, c["p4"], 3, 2), c["p4"], "nested")
        p5 = self.stage("model.8", self.block("model.7", p4, c["p5"], 3, 2), c["p5"], "nested")
        return p3, p4, p5

    def crossed(self, name, x):
        past, way = np.split(self.block(f"{name}.cv1", x, x.shape[1]), 2, axis=1)
        return self.block(f"{name}.cv2", np.concatenate([past, self.attended(f"{name}.m.0", way)], 1), x.shape[1])

    def neck(self, p3, p4, p5):
        c, inner = CHANNELS, "nested" if self.is_new else "narrow"
        first = self.bare if self.is_new else self.block
        pooled = [first("model.9.cv1", p5, c["p5"] // 2)]
        for _ in range(3):
            pooled.append(max_pool(pooled[-1], 5, 1, 2))
        sppf = self.block("model.9.cv2", np.concatenate(pooled, 1), c["p5"])
        sppf = sppf + p5 if self.is_new else sppf
        top = self.crossed("model.10", sppf)
        up4 = self.stage("model.13", np.concatenate([nearest_twice(top), p4], 1), c["p4"], inner)
        out3 = self.stage("model.16", np.concatenate([nearest_twice(up4), p3], 1), c["p3"], inner)
        out4 = self.stage("model.19", np.concatenate([self.block("model.17", out3, c["p3"], 3, 2), up4], 1), c["p4"], inner)
        joined = np.concatenate([self.block("model.20", out4, c["p4"], 3, 2), top], 1)
        out5 = self.stage("model.22", joined, c["p5"], "attended" if self.is_new else "nested")
        return {"sppf": sppf, "c2psa": top}, (out3, out4, out5)

    def last(self, name, x, outputs, gain, mean=0.0):
        weight = self.weights.linear(f"{name}.weight", (outputs, x.shape[1], 1, 1), gain)
        return conv(x, weight, self.weights.normal(f"{name}.bias", (outputs,), 0.15, mean))

    def hidden(self, name, x, hidden):
        return self.block(f"{name}.1", self.block(f"{name}.0", x, hidden, 3), hidden, 3)

    def head(self, levels, prefix, task):
        """Raw numbers per anchor, levels joined: boxes, scores and extras."""
        raw = {"boxes": [], "scores": [], "extras": []}
        flat = lambda map: map.reshape(*map.shape[:2], -1)
        for i, level in enumerate(levels):
            part = lambda name: f"{HEAD}.{prefix}{name}.{i}"
            # Plain distances are about two cells.
            gain, mean = (0.6, 2.0) if self.is_new else (3.0, 0.0)
            raw["boxes"].append(flat(self.last(f"{part('cv2')}.2", self.hidden(part("cv2"), level, 16), 4 * self.bins, gain, mean)))
            light = level
            for pair in range(2):
                light = self.block(f"{part('cv3')}.{pair}.1", self.depthwise(f"{part('cv3')}.{pair}.0", light), 8)
            raw["scores"].append(flat(self.last(f"{part('cv3')}.2", light, self.classes, 2.0)))
            if self.extra:
                hidden = self.hidden(part("cv4"), level, 8)
                own = f"{part('cv4_kpts')}" if self.is_new and task == "pose" else f"{part('cv4')}.2"
                raw["extras"].append(flat(self.last(own, hidden, self.extra, 1.5)))
        if not self.is_new:
            self.weights.put(f"{HEAD}.dfl.conv.weight", np.arange(self.bins).reshape(1, self.bins, 1, 1))
        return {key: np.concatenate(parts, 2) for key, parts in raw.items() if parts}

    def protos(self, levels, hidden=8, count=6):
        name = f"{HEAD}.proto"
        if not self.is_new:
            return self.prototypes(levels[0], hidden, count, name)
        total = levels[0]
        for i, level in enumerate(levels[1:]):
            refined = self.block(f"{name}.feat_refine.{i}", level, levels[0].shape[1])
            for _ in range(i + 1):
                refined = nearest_twice(refined)
            total = total + refined
        return self.prototypes(self.block(f"{name}.feat_fuse", total, hidden, 3), hidden, count, name)

    def decoded(self, raw, size, task, corners=False):
        """[B, 4 + classes + extras, anchors]."""
        centres, strides = anchors(*size)
        boxes = raw["boxes"]
        if self.bins > 1:
            boxes = softmax(boxes.reshape(boxes.shape[0], 4, self.bins, -1).swapaxes(2, 3)) @ np.arange(self.bins)
        angle = None
        if task == "obb":
            angle = raw["extras"] if self.is_new else (sigmoid(raw["extras"]) - 0.25) * np.pi
        near, far = boxes[:, :2], boxes[:, 2:]
        middle = (far - near) / 2
        if angle is not None:
            x, y = middle[:, :1], middle[:, 1:]
            middle = np.concatenate([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], 1)
        if corners and angle is None:
            place = np.concatenate([centres - near, centres + far], 1)
        else:
            place = np.concatenate([centres + middle, near + far], 1)
        parts = [place * strides, sigmoid(raw["scores"])]
        if task == "obb":
            parts.append(angle)
        elif task == "pose":
            points = raw["extras"].reshape(raw["extras"].shape[0], -1, 3, raw["extras"].shape[2])
            where = points[:, :, :2] + centres if self.is_new else 2 * points[:, :, :2] + centres - 0.5
            parts.append(np.concatenate([where * strides, sigmoid(points[:, :, 2:])], 2).reshape(raw["extras"].shape))
        elif task == "segment":
            parts.append(raw["extras"])
        return np.concatenate(parts, 1)


def chosen(pred, classes):
    """The best pairs of anchor and class: rows of box, score, class and extras, and their anchors."""
    scores = pred[4 : 4 + classes]
    order = np.argsort(-scores.T.ravel(), kind="stable")[: min(CHOSEN, pred.shape[1])]
    places, labels = order // classes, order % classes
    rows = [np.concatenate([pred[:4, a], [scores[c, a], c], pred[4 + classes :, a]]) for a, c in zip(places, labels)]
    return np.array(rows), places


def make_detector(folder, seed, is_new, task, extra, shapes):
    model = Yolo(seed, is_new, extra)
    inputs, outputs, post = {}, {}, []
    for i, shape in enumerate(shapes):
        pixels = picture([seed, i], shape)
        call, size = f"x{i}", shape[2:]
        inputs[f"{call}.u8"] = pixels
        inner, levels = model.neck(*model.backbone(pixels / 255))
        outputs |= {f"{call}.{name}": value for name, value in inner.items()}
        outputs |= {f"{call}.{name}": level for name, level in zip(("p3", "p4", "p5"), levels)}
        if task == "segment":
            outputs[f"{call}.proto"] = model.protos(levels)
        many = f"{call}.one2many" if is_new else call
        raw = model.head(levels, "", task)
        outputs |= {f"{many}.raw_boxes": raw["boxes"], f"{many}.raw_scores": raw["scores"]}
        # What follows starts at the stored numbers, as the check does.
        pred = model.decoded(raw, size, task).astype(np.float32)
        outputs[f"{many}.pred"] = pred
        if task != "obb":
            on = {"on": "one2many.pred"} if is_new else {}
            post.append({"call": f"{call}.nms_default", "conf_thres": 0.25, "iou_thres": 0.7} | on)
            rows = [suppressed(one.astype(np.float64), model.classes, 0.25, 0.7) for one in pred]
            outputs |= {f"{call}.nms_default.b{b}.dets": row for b, row in enumerate(rows)}
        if is_new:
            second = model.head(levels, "one2one_", task)
            outputs |= {f"{call}.one2one.raw_boxes": second["boxes"], f"{call}.one2one.raw_scores": second["scores"]}
            pred = model.decoded(second, size, task, corners=True)
            outputs[f"{call}.one2one.pred"] = pred
            best = [chosen(one, model.classes) for one in pred]
            rows = np.stack([rows for rows, _ in best]).astype(np.float32)
            outputs |= {f"{call}.pred": rows, f"{call}.pred_anchor": np.stack([places for _, places in best]).astype(np.int64)}
            for name, wish in (("e2e_default", {"conf_thres": 0.25}), ("e2e_classes", {"conf_thres": 0.15, "classes": [0, 2], "max_det": 9})):
                post.append({"call": f"{call}.{name}", "on": "pred"} | wish)
                for b, one in enumerate(rows):
                    kept = one[(one[:, 4] > wish["conf_thres"]) & np.isin(one[:, 5], wish.get("classes", range(model.classes)))]
                    outputs[f"{call}.{name}.b{b}.dets"] = kept[: wish.get("max_det", CHOSEN)]
        if task == "segment":
            kept = "e2e_default" if is_new else "nms_default"
            post.append({"call": f"{call}.masks", "native_shape": list(size), "note": f"first rows of {kept}.b0"})
            protos = outputs[f"{call}.proto"][0].astype(np.float32).astype(np.float64)
            rows = outputs[f"{call}.{kept}.b0.dets"].astype(np.float32).astype(np.float64)
            outputs[f"{call}.masks"] = masks(rows[:4], protos, size)
    name = "yolo26" if is_new else "yolo11"
    about = facts(folder.name, f"{task}, channels {list(CHANNELS.values())}", task, family=name, postprocess=post)
    if task == "pose":
        about["config"]["kpt_shape"] = [extra // 3, 3]
    write_case(folder, about, model.weights, inputs, outputs)


def make_classifier(folder, seed):
    """The same network in both."""
    model = Yolo(seed, False, epsilon=1e-5)
    weights = model.weights
    pixels = picture(seed, (2, 3, 64, 96))
    attended = model.crossed("model.9", model.backbone(pixels / 255)[2])
    x = model.block("model.10.conv", attended, 24).mean((2, 3))
    logits = x @ weights.linear("model.10.linear.weight", (5, 24), 3.0).T + weights.bias("model.10.linear.bias", 5)
    outputs = {"x0.c2psa": attended, "x0.logits": logits, "x0.prob": softmax(logits)}
    about = facts(folder.name, "two pictures that are not square", "classify", family="yolo11")
    write_case(folder, about, weights, {"x0.u8": pixels}, outputs)


def make(folder):
    make_detector(folder / "yolo11_detect", 21, False, "detect", 0, [(1, 3, 96, 64), (2, 3, 64, 64)])
    make_detector(folder / "yolo11_pose", 22, False, "pose", 9, [(1, 3, 64, 96)])
    make_classifier(folder / "yolo11_classify", 23)
    make_detector(folder / "yolo26_detect", 24, True, "detect", 0, [(1, 3, 96, 64), (2, 3, 64, 64)])
    make_detector(folder / "yolo26_segment", 25, True, "segment", 6, [(1, 3, 64, 96)])
    make_detector(folder / "yolo26_pose", 26, True, "pose", 9, [(1, 3, 64, 96)])
    make_detector(folder / "yolo26_obb", 27, True, "obb", 1, [(1, 3, 96, 64)])
