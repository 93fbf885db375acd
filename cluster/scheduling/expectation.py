"""How long a request would take on a node, by what was measured there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cluster.scheduling.candidate import Candidate, Wanted

OVERHEAD_MS = 200.0
PROMPT_SPEED = 1000.0
TOKEN_MS = 20.0
CROWDING_MS = 2.0
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
    token_ms: float
    crowding_ms: float


class Expected(NamedTuple):
    """Milliseconds, one part after the other; and, last, by how much all that runs there already would be slowed."""

    wait: float
    load: float
    overhead: float
    prompt: float
    generation: float
    harm: float


def known(candidates: Sequence[Candidate]) -> Known:
    overhead, prompt_speed, token, crowding = OVERHEAD_MS, PROMPT_SPEED, TOKEN_MS, CROWDING_MS
    any_overhead = any_prompt = any_token = False
    for each in candidates:
        if each.overhead_ms is not None and (not any_overhead or each.overhead_ms < overhead):
            overhead, any_overhead = each.overhead_ms, True
        if each.prompt_speed is not None and (not any_prompt or each.prompt_speed > prompt_speed):
            prompt_speed, any_prompt = each.prompt_speed, True
        if each.token_ms is not None and each.crowding_ms is not None and (not any_token or each.token_ms < token):
            token, crowding, any_token = each.token_ms, each.crowding_ms, True
    return Known(overhead, prompt_speed, token, crowding)


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
    token, crowding = candidate.token_ms, candidate.crowding_ms
    if token is None or crowding is None:
        token, crowding = best.token_ms, best.crowding_ms
    capacity, in_flight = candidate.capacity, candidate.in_flight
    beside = in_flight if in_flight < capacity else capacity - 1
    generation = tokens * (token + crowding * beside)
    load = 0.0
    if candidate.residence != "loaded" or (candidate.context is not None and candidate.context < context):
        load = _load(candidate)
        warm = 0.0
    prompt = wanted.prompt_tokens * (1.0 - warm) * 1000.0 / (candidate.prompt_speed or best.prompt_speed)
    wait = 0.0
    behind = in_flight + 1 - capacity
    if behind > 0:
        wait = behind * (overhead + prompt + generation) / capacity
    elif load and in_flight and candidate.fits is False:
        # What runs there must end before its model can be put out, and what comes for that meanwhile waits, too.
        wait = generation * (1 + in_flight)
    # Those that run are half done on the mean.
    return Expected(wait, load, overhead, prompt, generation, beside * crowding * tokens / 2)


def _load(candidate: Candidate) -> float:
    takes = candidate.load_ms or LOAD_MS + (candidate.size or LOAD_SIZE) / LOAD_BYTES_PER_MS
    return takes / 2 if candidate.residence == "loading" else takes
