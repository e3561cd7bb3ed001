"""Statistics and the Markdown report of a peer run. No sample is ever removed."""

import math
import statistics
from pathlib import Path

GFLOP = 8.7  # YOLOv8n at 640 x 640, the figure that its authors publish
P90_SAMPLES = 64  # below this many samples a p90 is not given
STABLE = 1.05  # largest ratio between the medians of the last three rounds that is still called steady


def quantile(values, q):
    """The sample at rank ceil(q n)."""
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


def steady(rounds):
    """Figures over all photos of the measured rounds, in ms."""
    images = [image for turn in rounds for image in turn["images"]]
    totals = [image["total"] for image in images]
    medians = [statistics.median(image["total"] for image in turn["images"]) for turn in rounds]
    last = medians[-3:]
    stable = len(last) == 3 and max(last) <= STABLE * min(last)
    outside = [turn["outside"] for turn in rounds if turn["outside"] is not None]
    figures = {
        "n": len(totals),
        "median": statistics.median(totals),
        "p90": quantile(totals, 0.9) if len(totals) >= P90_SAMPLES else None,
        "min": min(totals),
        "mean": statistics.fmean(totals),
        "outside_mean": statistics.fmean(outside) if outside else None,
        "round_medians": medians,
        "status": "VALID" if stable else "UNSTABLE" if len(last) == 3 else "INSUFFICIENT",
    }
    if "inference" in images[0]:
        for stage in ("preprocess", "inference", "postprocess"):
            figures[stage] = statistics.median(image[stage] for image in images)
        parts = ("preprocess", "inference", "postprocess")
        figures["rest"] = statistics.median(image["total"] - sum(image[part] for part in parts) for image in images)
        figures["around_network"] = (figures["preprocess"] + figures["postprocess"]) / figures["inference"]
    if "timings_ms" in images[0]:
        names = list(images[0]["timings_ms"])
        figures["timings_ms"] = {
            name: statistics.median(image["timings_ms"][name] for image in images) for name in names
        }
    return figures


def gemm_rate(rounds):
    """The best float32 GEMM rate of the measured rounds in GFLOP/s, and where it was reached."""
    rates = [(rate, name) for turn in rounds for name, rate in turn["images"][0].items()]
    rate, name = max(rates)
    return rate, name.removesuffix("_gflops")


def summary(measured):
    """All derived figures, for the JSON file."""
    samples = measured["samples"]
    tools = {name: steady(phases["steady"]) for name, phases in samples.items() if name != "gemm"}
    answering = [name for name, figures in tools.items() if "inference" in figures]
    fastest = min((tools[name]["median"] for name in answering), default=None)
    for name in answering:
        tools[name]["vs_fastest"] = tools[name]["median"] / fastest
    rate, library = gemm_rate(samples["gemm"]["steady"])
    starts = {
        name: {
            key: {"p50": statistics.median(values), "max": max(values), "n": len(values)}
            for key in ("first_answer", "process", "memory")
            for values in [[sample[key] for sample in taken]]
        }
        for name, taken in measured["starts"].items()
    }
    scale = (measured["machine"]["size"] / 640) ** 2
    return {
        "tools": tools,
        "gemm_gflops": rate,
        "gemm_library": library,
        "floor_ms": GFLOP * scale / rate * 1e3,
        "starts": starts,
    }


def overlap(a, b):
    """Intersection over union of two boxes x1 y1 x2 y2."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(area) - width * height)


def agreement(rounds, reference_rounds, files):
    """Pairs each object of the reference with the best one of its class (IoU at least 0.5) in the last round."""
    pairs, missing, extra = [], [], 0
    for image, reference, file in zip(rounds[-1]["images"], reference_rounds[-1]["images"], files):
        left = list(image["objects"])
        for wanted in reference["objects"]:
            same = [found for found in left if found["class_id"] == wanted["class_id"]]
            best = max(same, key=lambda found: overlap(found["box"], wanted["box"]), default=None)
            if best is None or overlap(best["box"], wanted["box"]) < 0.5:
                missing.append(f"{Path(file).name} class {wanted['class_id']} score {wanted['score']:.3f}")
                continue
            left.remove(best)
            pairs.append((overlap(best["box"], wanted["box"]), abs(best["score"] - wanted["score"])))
        extra += len(left)
    return {"pairs": pairs, "missing": missing, "extra": extra}


def number(value, digits=1):
    return "n/a" if value is None else f"{value:.{digits}f}"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def steady_table(tools):
    header = ["tool", "n", "median ms", "p90 ms", "min ms", "mean ms", "mean ms, outer clock", "× fastest", "status"]
    rows = []
    for name, t in tools.items():
        times = [number(t[key]) for key in ("median", "p90", "min", "mean", "outside_mean")]
        rows.append([name, str(t["n"]), *times, number(t.get("vs_fastest"), 2), t["status"]])
    return table(header, rows)


def stage_table(tools):
    header = ["tool", "decode and rest", "preprocess", "network", "postprocess", "(pre + post) / network"]
    rows = []
    for name, t in tools.items():
        if "inference" in t:
            times = [number(t[key], 2) for key in ("rest", "preprocess", "inference", "postprocess")]
            rows.append([name, *times, f"{100 * t['around_network']:.1f} %"])
    return table(header, rows)


def start_table(starts):
    header = ["tool", "n", "first answer p50 ms", "max", "whole process p50 ms", "max", "peak memory p50 MiB"]
    rows = []
    for name, s in starts.items():
        times = [number(s[key][part], 0) for key in ("first_answer", "process") for part in ("p50", "max")]
        rows.append([name, str(s["process"]["n"]), *times, number(s["memory"]["p50"], 0)])
    return table(header, rows)


def agreement_table(measured, reference):
    samples = measured["samples"]
    header = ["tool", "objects paired", "missing", "extra", "lowest IoU", "mean IoU", "largest score difference"]
    rows, notes = [], []
    for name, phases in samples.items():
        if name == reference or "objects" not in phases["steady"][-1]["images"][0]:
            continue
        found = agreement(phases["steady"], samples[reference]["steady"], measured["files"])
        overlaps, differences = zip(*found["pairs"]) if found["pairs"] else ((0.0,), (0.0,))
        counts = [str(len(found["pairs"])), str(len(found["missing"])), str(found["extra"])]
        closeness = [number(min(overlaps), 4), number(statistics.fmean(overlaps), 4), number(max(differences), 4)]
        rows.append([name, *counts, *closeness])
        notes += [f"- {name} lacks: {text}" for text in found["missing"]]
    return "\n".join([table(header, rows), *([""] + notes if notes else [])])


def cold_lines(measured):
    """maskline's own account of a start, where it printed one, and the first photo of each round's process."""
    lines = []
    first = measured["maskline_first"]
    if first:
        median = {key: statistics.median(sample[key] for sample in first) for key in first[0]}
        lines.append(
            f"maskline, first photo of each round's fresh process (not in the figures above): "
            f"{median['first_photo']:.1f} ms; process start to first answer {median['process_to_first_answer']:.0f} ms (medians of {len(first)})."
        )
    cold = [sample["cold_ms"] for taken in measured["starts"].values() for sample in taken if "cold_ms" in sample]
    if cold and isinstance(cold[0], dict):
        keys = [key for key, value in cold[0].items() if isinstance(value, (int, float))]
        parts = {key: statistics.median(sample.get(key, 0.0) for sample in cold) for key in keys}
        lines.append(
            "maskline's `cold_ms`, medians: " + ", ".join(f"{key} {value:.1f}" for key, value in parts.items()) + "."
        )
    elif cold:
        lines.append(f"maskline's `cold_ms`, median: {statistics.median(cold):.1f}.")
    return lines


def markdown(measured, reference):
    """The report as Markdown."""
    facts, figures = measured["machine"], summary(measured)
    tools = figures["tools"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    load = " → ".join(f"{facts[key][0]:.2f}" for key in ("load_before", "load_after"))
    side = facts["size"]
    parts = [
        f"# YOLOv8n, {side} × {side}, CPU, {facts['threads']} threads",
        f"{facts['date']} · {facts['cpu']}, {facts['cores']} cores, load {load} · {facts['photos']} photos · {versions}",
        "## Steady: path in, objects out\n\n" + steady_table(tools),
        "## Where the time goes (medians, ms)\n\n" + stage_table(tools),
    ]
    for name, t in tools.items():
        if "timings_ms" in t:
            stages = ", ".join(f"{stage} {value:.2f}" for stage, value in t["timings_ms"].items())
            parts.append(f"{name}'s own stages, medians: {stages}.")
    parts.append(
        f"Machine: best float32 GEMM rate in this run {figures['gemm_gflops']:.0f} GFLOP/s ({figures['gemm_library']}), "
        f"so {GFLOP * (side / 640) ** 2:.1f} GFLOP need at least {figures['floor_ms']:.1f} ms."
    )
    if figures["starts"]:
        parts.append("## Second start: fresh process, caches warm\n\n" + start_table(figures["starts"]))
    parts += cold_lines(measured)
    if reference in measured["samples"] and len(figures["starts"] or tools) > 1:
        parts.append(f"## Same answers? Against {reference}\n\n" + agreement_table(measured, reference))
    unstable = [name for name, t in tools.items() if t["status"] != "VALID"]
    if unstable:
        parts.append(f"**Not steady: {', '.join(unstable)}.** Run it again on a quiet machine, or with more --rounds.")
    return "\n\n".join(parts) + "\n"
