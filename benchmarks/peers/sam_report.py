"""Figures and Markdown of a contest of promptable models (`sam_contest.py`)."""

import statistics

from pycocotools import mask as coco

from report import STABLE, number, table

STAGES = ("decode", "preprocess", "image_encode", "mask_decode", "postprocess")


def samples_of(phases, task):
    """All samples of a task, round by round."""
    return [turn[task] for turn in phases["steady"] if task in turn]


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def figures(turns, wanted=None):
    """Median, extremes and steadiness of a task.

    With `wanted`, of the samples that went through that stage; without, of all but the first passes of a process.
    """
    turns = [[one["ms"] for one in turn if usable(one, wanted)] for turn in turns]
    samples = [ms for turn in turns for ms in turn]
    if not samples:
        return None
    last = [statistics.median(ms["total"] for ms in turn) for turn in turns][-3:]
    steady = len(last) == 3 and max(last) <= STABLE * min(last)
    names = [name for name in (*STAGES, "other", "total") if any(name in ms for ms in samples)]
    return {
        "status": "VALID" if steady else "UNSTABLE" if len(last) == 3 else "INSUFFICIENT",
        **{name: spread([ms[name] for ms in samples if name in ms]) for name in names},
    }


def usable(sample, wanted):
    return "first" not in sample if wanted is None else sample["ms"].get(wanted, 0.0) > 0.0


def summary(measured, reference):
    """All derived figures."""
    samples = measured["samples"]
    tools = {name: phases for name, phases in samples.items() if name != "gemm"}
    tasks = {
        "boxes": {name: figures(samples_of(phases, "boxes"), "image_encode") for name, phases in tools.items()},
        "behind": {name: figures(samples_of(phases, "boxes")) for name, phases in tools.items()},
        "loop": {name: figures(samples_of(phases, "loop")) for name, phases in tools.items()},
        "click": {name: figures(samples_of(phases, "click")) for name, phases in tools.items()},
    }
    rates = [(rate, name) for [sample] in samples_of(samples["gemm"], "gemm") for name, rate in sample["rates"].items()]
    best, library = max(rates)
    middle = statistics.median(rate for rate, name in rates if name == library)
    work = measured["machine"]["model"]["encoder_gflop"]
    shares = {
        name: work / (task["image_encode"]["median"] / 1e3) / middle
        for name, task in tasks["boxes"].items()
        if task and "image_encode" in task
    }
    return {
        "tasks": tasks,
        "gemm_gflops": {"best": best, "median": middle, "library": library.removesuffix("_gflops")},
        "encoder_share_of_gemm": shares,
        "same_masks": {
            name: agreement(phases, samples[reference]) for name, phases in tools.items() if name != reference
        },
        "masks": nature(samples[reference]),
    }


def last_objects(phases, task):
    turns = samples_of(phases, task)
    return turns[-1][-1]["objects"] if turns else None


def agreement(phases, reference):
    """IoU of each mask with the reference's of the same prompt, and the largest difference of scores, by task."""
    result = {}
    for task in ("boxes", "loop", "click"):
        found, wanted = last_objects(phases, task), last_objects(reference, task)
        if not found or not wanted:
            continue
        pairs = [(a["segmentation"], b["segmentation"]) for a, b in zip(found, wanted, strict=True)]
        overlaps = [overlap(a, b) for a, b in pairs]
        scores = max(abs(a["score"] - b["score"]) for a, b in zip(found, wanted, strict=True))
        result[task] = {"lowest": min(overlaps), "mean": statistics.fmean(overlaps), "score": scores, "n": len(pairs)}
    return result


def overlap(a, b):
    """IoU of two RLE masks; two empty ones are the same."""
    if coco.area(a) == coco.area(b) == 0:
        return 1.0
    return float(coco.iou([a], [b], [0])[0, 0])


def nature(phases):
    """What kind of masks these are: how many runs they have, and how many are neither nearly full nor nearly empty.

    Agreement says little about a mask that covers everything or nothing.
    """
    objects = last_objects(phases, "boxes")
    if not objects:
        return None
    masks = [coco.decode(found["segmentation"]) for found in objects]
    runs = [1 + int((mask.T.ravel()[1:] != mask.T.ravel()[:-1]).sum()) for mask in masks]
    mixed = sum(0.02 < float(mask.mean()) < 0.98 for mask in masks)
    return {"runs": statistics.fmean(runs), "mixed": mixed, "masks": len(masks)}


def drop_masks(measured):
    """Takes the masks out of the samples: megabytes that the JSON file does not need."""
    for phases in measured["samples"].values():
        for turn in phases["warmup"] + phases["steady"]:
            for sample in (sample for task in turn.values() for sample in task):
                sample.pop("objects", None)


def shown(values):
    """`median (min–max)` in ms."""
    if values is None:
        return "n/a"
    return f"{number(values['median'])} ({number(values['min'])}–{number(values['max'])})"


def total_table(tasks):
    fastest = min(task["total"]["median"] for task in tasks.values() if task)
    rows = []
    for name, task in tasks.items():
        if task:
            factor = number(task["total"]["median"] / fastest, 2)
            rows.append([name, str(task["total"]["n"]), shown(task["total"]), factor, task["status"]])
    return table(["tool", "n", "median (min–max) ms", "× fastest", "status"], rows)


def stage_table(tasks, names):
    rows = [[tool, *(shown(task.get(name)) for name in names)] for tool, task in tasks.items() if task]
    return table(["tool", *names], rows)


def agreement_table(found):
    rows = []
    for name, by_task in found.items():
        for task, same in by_task.items():
            numbers = [number(same["lowest"], 5), number(same["mean"], 5), number(same["score"], 6)]
            rows.append([name, task, str(same["n"]), *numbers])
    return table(["tool", "task", "masks", "lowest IoU", "mean IoU", "largest score difference"], rows)


def encoder_lines(measured, summary):
    """The GEMM rate and what share of it each encoder reaches."""
    gemm, work = summary["gemm_gflops"], measured["machine"]["model"]["encoder_gflop"]
    text = [
        f"Machine: float32 GEMM rate in this run {gemm['median']:.0f} GFLOP/s (median, best {gemm['best']:.0f}; "
        f"{gemm['library']}). The encoder needs {work:.1f} GFLOP: {work / gemm['median'] * 1e3:.0f} ms at that rate."
    ]
    text += [f"- {name} encodes at {share:.0%} of it." for name, share in summary["encoder_share_of_gemm"].items()]
    return "\n".join(text)


def cold_line(cold):
    if not cold:
        return []
    first = statistics.median(sample["first_answer"] for sample in cold)
    memory = max(sample["memory"] for sample in cold)
    return [f"maskline, each process's first answer: {first:.0f} ms (median of {len(cold)}); peak {memory:.0f} MiB."]


def markdown(measured, summary, reference):
    """The report."""
    facts, tasks = measured["machine"], summary["tasks"]
    width, height = facts["size"]
    count = facts["boxes"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    picture = f"{facts['photo']} {width} × {height}"
    load = " → ".join(f"{facts[key][0]:.2f}" for key in ("load_before", "load_after"))
    parts = [
        f"# {measured['title']}, CPU, {facts['threads']} threads",
        f"{facts['date']} · {facts['cpu']}, {facts['cores']} cores, load {load} · {picture} · {versions}",
    ]
    if any(tasks["boxes"].values()):
        parts += [f"## {count} boxes: path in, {count} RLE masks out\n\n" + total_table(tasks["boxes"])]
        parts += ["Stages, median (min–max) ms:\n\n" + stage_table(tasks["boxes"], STAGES)]
        parts += [encoder_lines(measured, summary)]
    if any(tasks["behind"].values()) and not all(
        tasks["boxes"][name] for name, task in tasks["behind"].items() if task
    ):
        parts += ["Passes on a kept embedding:\n\n" + stage_table(tasks["behind"], STAGES[3:])]
    if any(tasks["loop"].values()):
        parts += [f"## {count} boxes, one call per box, embedding kept\n\n" + total_table(tasks["loop"])]
        parts += [stage_table(tasks["loop"], STAGES[3:])]
    if any(tasks["click"].values()):
        parts += ["## One click, embedding kept\n\n" + total_table(tasks["click"])]
        parts += [stage_table(tasks["click"], STAGES[3:])]
    parts += cold_line(measured["maskline_cold"])
    if any(summary["same_masks"].values()):
        parts += [f"## Same masks? Against {reference}\n\n" + agreement_table(summary["same_masks"])]
    if summary["masks"]:
        mixed, runs = "{mixed} of {masks}".format(**summary["masks"]), summary["masks"]["runs"]
        parts += [
            f"Masks of random weights: {mixed} cover between 2 and 98 % of the picture; {runs:.0f} runs on average."
        ]
    shaky = {name for task in tasks.values() for name, found in task.items() if found and found["status"] != "VALID"}
    if shaky:
        parts += [
            f"**Not steady: {', '.join(sorted(shaky))}.** Run it again on a quiet machine, or with more --rounds."
        ]
    return "\n\n".join(parts) + "\n"
