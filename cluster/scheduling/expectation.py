"""How long a request would take on a node, by what was measured there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cluster.scheduling.candidate import Candidate, Wanted

FIRST_TOKEN_MS = 200.0
SPEED = 50.0
PROMPT_SPEED = 1000.0
"""What is assumed while none of the candidates was measured."""
TOKENS = 128.0
"""What is assumed of the length of an answer while no answer of the version was seen."""
LOAD_BYTES_PER_MS = 1e6
LOAD_MS = 500.0
"""A load takes so long and as long again as reading the weights at that rate, until one was measured."""
LOAD_SIZE = 4e9
"""Bytes of a model that does not tell its size."""


class Known(NamedTuple):
    """The best that was measured of any candidate: what is assumed of those that were not measured, so that they are tried."""

    overhead_ms: float
    prompt_speed: float
    speed: float


class Expected(NamedTuple):
    """Milliseconds, one part after the other."""

    wait: float
    load: float
    overhead: float
    prompt: float
    generation: float


def known(candidates: Sequence[Candidate]) -> Known:
    overhead, prompt_speed, speed = FIRST_TOKEN_MS, 0.0, 0.0
    measured = False
    for each in candidates:
        if each.overhead_ms is not None and (not measured or each.overhead_ms < overhead):
            overhead, measured = each.overhead_ms, True
        if each.prompt_speed is not None and each.prompt_speed > prompt_speed:
            prompt_speed = each.prompt_speed
        if each.speed is not None and each.speed > speed:
            speed = each.speed
    return Known(overhead, prompt_speed or PROMPT_SPEED, speed or SPEED)


def ready(candidate: Candidate, context: int) -> bool:
    """Whether it is in memory with at least so much context: an engine would load it again for more."""
    if candidate.residence != "loaded":
        return False
    return candidate.context is None or candidate.context >= context


def expect(wanted: Wanted, candidate: Candidate, best: Known, *, context: int, warm: float, tokens: float) -> Expected:
    """``warm`` is the share of the prompt that the node has read before, ``tokens`` the length of the answer.

    A request that finds all slots taken waits for as many of them to end as are before it, each a ``capacity``-th of a request apart.
    """
    overhead = best.overhead_ms if candidate.overhead_ms is None else candidate.overhead_ms
    generation = tokens * 1000.0 / (candidate.speed or best.speed)
    load = 0.0
    if candidate.residence != "loaded" or (candidate.context is not None and candidate.context < context):
        load = _load(candidate)
        warm = 0.0
    prompt = wanted.prompt_tokens * (1.0 - warm) * 1000.0 / (candidate.prompt_speed or best.prompt_speed)
    wait = 0.0
    behind = candidate.in_flight + 1 - candidate.capacity
    if behind > 0:
        wait = behind * (overhead + prompt + generation) / candidate.capacity
    return Expected(wait, load, overhead, prompt, generation)


def _load(candidate: Candidate) -> float:
    takes = candidate.load_ms or LOAD_MS + (candidate.size or LOAD_SIZE) / LOAD_BYTES_PER_MS
    if candidate.residence == "loading":
        return takes / 2
    # What must be put out first comes back one day, and is loaded then.
    return takes if candidate.fits is not False else takes * 2
