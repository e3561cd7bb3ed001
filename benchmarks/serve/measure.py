"""Numbers of measurements: quantiles, and ratios with the interval that a resampling of their rounds gives."""

import random
import statistics
from dataclasses import dataclass


def quantile(values, share):
    """The value below which `share` of the values lie (nearest rank); nan for none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass
class Ratio:
    """The median of the rounds' ratios, and the middle 95 % of it under resampling."""

    middle: float
    low: float
    high: float

    def __str__(self):
        return f"{self.middle:.2f} [{self.low:.2f}, {self.high:.2f}]"


def ratio(ours, theirs, draws=2000):
    """Of two series that were measured in turns, round by round."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    drawn = random.Random(7)
    medians = [statistics.median(drawn.choices(ratios, k=len(ratios))) for _ in range(draws)]
    return Ratio(statistics.median(ratios), quantile(medians, 0.025), quantile(medians, 0.975))


def latencies(seconds):
    """`p50 …, p99 … ms` of a list of seconds."""
    return f"p50 {quantile(seconds, 0.5) * 1e3:.2f}, p99 {quantile(seconds, 0.99) * 1e3:.2f} ms"
