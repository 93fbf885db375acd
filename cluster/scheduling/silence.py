"""How long an engine may say nothing until it counts as hung, as a pure decision. Durations are in seconds.

A living process proves nothing: what counts is progress. How long a silence is usual is learned for each model on its node, in
the node itself, which hears its engine whatever becomes of Redis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ollamamax.contract import Phase

FLOOR = 10.0
"""The least silence in the middle of an answer that is taken for more than a pause."""
GAPS = 4.0
"""So many times what was the longest of late is too long."""
MOST = 120.0
FIRST = 3.0
"""The least silence before the first output, in floors: some engines say nothing while others run."""
LOADING = 60.0
"""The least silence while a model is loaded, in floors."""
SLOW = 20.0
"""Tokens of a prompt that are read in a second, until that was measured."""
LONG_PROMPT = 256
"""Tokens from which on a prompt tells how fast prompts are read, and may keep those beside it waiting."""
HALF_LIFE = 300.0
LONGEST_LEARNED = MOST / GAPS


class ModelPace:
    """What one model was like on one node of late."""

    __slots__ = ("gap", "wait", "whole")

    def __init__(self) -> None:
        self.gap = 0.0
        """The longest silence between two outputs."""
        self.wait = 0.0
        """The longest time that the token of a prompt took to be read."""
        self.whole = 0.0
        """The same of texts to embed or rank: an engine makes something of each of their tokens, which takes several times as long."""

    def heard(self, gap: float) -> None:
        """Output came so long after the one before it."""
        self.gap = max(self.gap, min(gap, LONGEST_LEARNED))

    def read(self, seconds: float, tokens: int, *, whole: bool = False) -> None:
        """The first output came so long after a prompt of so many tokens was given. ``whole``: after texts to embed or rank."""
        took = min(seconds / tokens, LONGEST_LEARNED) if tokens >= LONG_PROMPT else 0.0
        if whole:
            self.whole = max(self.whole, took)
        else:
            self.wait = max(self.wait, took)

    def fade(self, seconds: float) -> None:
        kept = 0.5 ** (seconds / HALF_LIFE)
        self.gap *= kept
        self.wait *= kept
        self.whole *= kept


@dataclass(frozen=True, slots=True)
class Silent:
    """A request that runs: since when it has said nothing, and what it is at. ``tokens``: about how long its prompt is.
    ``whole``: it is to embed or rank texts."""

    ticket: str
    version: str
    phase: Phase
    seconds: float
    tokens: int = 0
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Hung:
    """``tickets`` -> how long each was silent; ``versions``: those that make no progress at all -> the same.

    ``longest``: the request that has been silent for the longest part of what it may be, for how long, and how long it may be."""

    tickets: dict[str, float] = field(default_factory=dict)
    versions: dict[str, float] = field(default_factory=dict)
    longest: tuple[Silent, float, float] | None = field(default=None, compare=False)


def reading(pace: ModelPace, tokens: int, *, whole: bool = False) -> float:
    """How long it may take to read a prompt, or the ``whole`` of texts to embed or rank, of so many tokens."""
    wait = pace.whole if whole else pace.wait
    return tokens * (GAPS * wait if wait else 1 / SLOW)


def limit(
    pace: ModelPace, phase: Phase, tokens: int, beside: float = 0.0, floor: float = FLOOR, *, whole: bool = False
) -> float:
    """How long a request may say nothing. ``beside``: how long it may take to read what is read on the same engine
    meanwhile, during which it may answer nobody."""
    own = reading(pace, tokens, whole=whole)
    if phase == "loading":
        return LOADING * floor + own
    if phase == "reading":
        return max(FIRST * floor, GAPS * pace.gap) + own + beside
    return max(floor, GAPS * pace.gap) + min(MOST, beside)


def hung(
    running: Sequence[Silent],
    paces: Mapping[str, ModelPace],
    heard: Mapping[str, float],
    *,
    alone: bool,
    floor: float = FLOOR,
) -> Hung:
    """Which requests wait in vain, and for which versions. ``heard``: version -> seconds since it said something to anybody.

    ``alone``: each version has a process of its own. Where they share one, it may keep a request waiting until another model's is over.
    A version hangs when nobody has heard it for as long as one of its requests may be silent; all its requests end then.
    """
    known = {version: paces.get(version) or ModelPace() for version in {each.version for each in running}}
    anybody = min(heard.values(), default=float("inf"))
    tickets: dict[str, float] = {}
    versions: dict[str, float] = {}
    longest: tuple[Silent, float, float] | None = None
    for each in running:
        beside = sum(
            reading(known[other.version], other.tokens, whole=other.whole)
            for other in running
            if other is not each
            and other.phase == "reading"
            and other.tokens >= LONG_PROMPT
            and (other.version == each.version or not alone)
        )
        most = limit(known[each.version], each.phase, each.tokens, beside, floor, whole=each.whole)
        own = heard.get(each.version, float("inf"))
        progress = own if alone else anybody
        silent = each.seconds if each.phase == "writing" else min(each.seconds, progress)
        if longest is None or silent / most > longest[1] / longest[2]:
            longest = each, silent, most
        if silent >= most:
            tickets[each.ticket] = each.seconds
            if own >= most:
                versions[each.version] = max(versions.get(each.version, 0.0), each.seconds)
    tickets |= {each.ticket: each.seconds for each in running if each.version in versions}
    return Hung(tickets, versions, longest)
