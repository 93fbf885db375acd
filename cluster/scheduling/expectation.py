"""How long a request would take on a node, by what was measured there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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


def expect(
    wanted: Wanted, candidates: Sequence[Candidate], *, warm: Mapping[str, float], tokens: float
) -> list[Expected]:
    """For each candidate. ``warm``: node -> share of the prompt that it has read before; ``tokens``: the length of the answer.

    ``load`` is 0 where the model is in memory with enough context, and nowhere else: an engine would load it again for more.
    """
    best: Known | None = None
    context, prompt_tokens = wanted.context, wanted.prompt_tokens * 1000.0
    found = []
    for each in candidates:
        overhead, speed, token, crowding = each.overhead_ms, each.prompt_speed, each.token_ms, each.crowding_ms
        if overhead is None or not speed or token is None or crowding is None:
            best = best or known(candidates)
            overhead = best.overhead_ms if overhead is None else overhead
            speed = speed or best.prompt_speed
            if token is None or crowding is None:
                token, crowding = best.token_ms, best.crowding_ms
        capacity, in_flight = each.capacity, each.in_flight
        beside = in_flight if in_flight < capacity else capacity - 1
        generation = tokens * (token + crowding * beside)
        prompt = prompt_tokens / speed
        load = wait = 0.0
        if each.residence != "loaded" or (each.context is not None and each.context < context):
            load = _load(each)
        elif warm and each.node in warm:
            prompt *= 1.0 - warm[each.node]
        if in_flight >= capacity:
            # For as many requests to end as are before it, each a share of a request apart.
            wait = (in_flight + 1 - capacity) * (overhead + prompt + generation) / capacity
        elif load and in_flight and each.fits is False:
            # What runs there must end before its model can be put out, and what comes for that meanwhile waits, too.
            wait = generation * (1 + in_flight)
        # Those that run are half done on the mean.
        found.append(Expected(wait, load, overhead, prompt, generation, beside * crowding * tokens / 2))
    return found


def worth_a_load(
    wanted: Wanted, candidates: Sequence[Candidate], expected: Sequence[Expected], waiting: float
) -> list[bool]:
    """Of each candidate whether a request may go there; not where it must load, while others would have a slot for it sooner.

    Whoever admits takes any node that is offered and has a free slot: where all are busy that have the model in memory, each
    request would have it loaded somewhere, and put another model out. Shared nodes spare the tenant's own no load.
    """
    all_ready = [index for index, each in enumerate(expected) if not each.load]
    own_ready = [index for index in all_ready if candidates[index].tenant == wanted.tenant]
    any_wait, own_wait = (_wait(candidates, expected, ready, waiting) for ready in (all_ready, own_ready))
    return [
        not each.load or each.wait + each.load < (own_wait if candidate.tenant == wanted.tenant else any_wait)
        for candidate, each in zip(candidates, expected, strict=True)
    ]


def _wait(candidates: Sequence[Candidate], expected: Sequence[Expected], ready: Sequence[int], waiting: float) -> float:
    """Milliseconds until a slot of some nodes would be free for the last of those that wait."""
    if not ready:
        return math.inf
    if any(candidates[index].in_flight < candidates[index].capacity for index in ready):
        return 0.0
    slots = sum(candidates[index].capacity for index in ready)
    service = sum(expected[index].overhead + expected[index].prompt + expected[index].generation for index in ready)
    return min(expected[index].wait for index in ready) + waiting * service / len(ready) / slots


def known(candidates: Sequence[Candidate]) -> Known:
    overheads = [each.overhead_ms for each in candidates if each.overhead_ms is not None]
    prompts = [each.prompt_speed for each in candidates if each.prompt_speed is not None]
    tokens = [
        (each.token_ms, each.crowding_ms)
        for each in candidates
        if each.token_ms is not None and each.crowding_ms is not None
    ]
    return Known(
        min(overheads, default=OVERHEAD_MS),
        max(prompts, default=PROMPT_SPEED),
        *min(tokens, default=(TOKEN_MS, CROWDING_MS)),
    )


def _load(candidate: Candidate) -> float:
    takes = candidate.load_ms or LOAD_MS + (candidate.size or LOAD_SIZE) / LOAD_BYTES_PER_MS
    return takes / 2 if candidate.residence == "loading" else takes
