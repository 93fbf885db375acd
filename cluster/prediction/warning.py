"""Which outlooks become warnings, how long these stand, and what they say. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from cluster.health.sign import PREDICTED, Sign
from cluster.prediction.outlook import NodeOutlook
from cluster.prediction.thresholds import STAYS, THRESHOLDS, Detector, Thresholds
from ollamamax.contract.health import Value

_FAILS: Mapping[Detector, str] = {
    "disk_full": "Its disk is likely to be full",
    "memory_full": "Its memory is likely to be exhausted",
    "gpu_memory_full": "The memory of GPU {of} is likely to be exhausted",
    "gpu_hot": "GPU {of} is likely to become so hot that it slows itself down",
    "gpu_memory_errors": "GPU {of} is likely to fail",
    "engine_slow": "Its engine is likely to hang",
    "engine_failing": "Its engine is likely to fail",
    "clock_skew": "Its clock is likely to be 5 s wrong",
}
_BECAUSE: Mapping[Detector, str] = {
    "disk_full": "it is {percent} % full, and {percent_an_hour:+} % come each hour, measured over {over_minutes} min",
    "memory_full": "it is {percent} % full, and {percent_an_hour:+} % come each hour, measured over {over_minutes} min",
    "gpu_memory_full": "it is {percent} % full, and {percent_an_hour:+} % come each hour, measured over {over_minutes} min",
    "gpu_hot": "it is {degrees_above_usual} °C warmer than usual at this power, {degrees_an_hour:+} °C each hour, and slows itself down at {slowdown_celsius:.0f} °C",
    "gpu_memory_errors": "{corrected} memory errors were corrected in {over_minutes} min, {of_these_in_the_newer_half} of them in the newer half, where {usual} are usual",
    "engine_slow": "it writes {percent_of_usual} % of the tokens a second that are usual for the same load, {percent_an_hour:+} % each hour",
    "engine_failing": "{failed} of {requests} requests failed in {over_minutes} min: {percent_before} % in the older half, {percent} % in the newer one, where {usual_percent} % are usual",
    "clock_skew": "it is {seconds:+} s off, and {seconds_an_hour:+} s come each hour, measured over {over_minutes} min",
}


@dataclass(slots=True)
class Watched:
    """An outlook from reading to reading: ``hits`` and ``misses`` in a row; ``given_at`` when it became a warning, in Unix seconds."""

    outlook: NodeOutlook
    at: float
    hits: int = 0
    misses: int = 0
    given_at: float | None = None


Key = tuple[Detector, str]


def decide(
    watched: dict[Key, Watched],
    found: Iterable[NodeOutlook],
    at: float,
    limits: Mapping[Detector, Thresholds] = THRESHOLDS,
    unmeasured: Collection[Key] = (),
) -> None:
    """Bring ``watched`` forward by one reading. What is ``unmeasured`` speaks neither for a warning nor against it, for as long as that said that something fails."""
    seen = set()
    for outlook in found:
        limit = limits[outlook.detector]
        key = (outlook.detector, outlook.of)
        held = watched.get(key)
        given = held is not None and held.given_at is not None
        if outlook.latest > limit.within * (STAYS if given else 1.0):
            continue
        if not given and (outlook.size < limit.size or outlook.late < limit.late):
            continue
        seen.add(key)
        if held is None:
            held = watched[key] = Watched(outlook, at)
        held.outlook, held.at, held.misses = outlook, at, 0
        held.hits += 1
        if held.given_at is None and held.hits >= limit.hold:
            held.given_at = at
    for key in [key for key in watched if key not in seen]:
        held, limit = watched[key], limits[key[0]]
        held.misses += key not in unmeasured
        held.hits = 0
        if held.given_at is None or held.misses >= limit.clear or at - held.at > 60 * STAYS * limit.within:
            del watched[key]


def sign_of(each: Watched) -> Sign:
    """The warning as a sign of health: within how many minutes, because of what."""
    outlook = each.outlook
    # A failure is seen by the reading after it.
    latest = math.ceil(outlook.latest) + 1
    values: dict[str, Value] = {
        "within_minutes": latest,
        "likely_in_minutes": max(0, round(outlook.minutes)),
        "fails_before": round(each.at + 60 * outlook.latest),
        **outlook.values,
    }
    fails = _FAILS[outlook.detector].format(of=outlook.of)
    text = f"{fails} within {latest} min: {_BECAUSE[outlook.detector].format(**outlook.values)}."
    return Sign(PREDICTED + outlook.detector, "warning", text, values, outlook.of, clear=0.0)
