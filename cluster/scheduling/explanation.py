"""Explains one request to a person: why it ran where it ran, in a sentence, and its way from receipt to end, in phases. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ollamamax.contract import AttemptRecord, Route, ScoredNode

NAMED = 3
"""So many nodes a sentence names; the others are counted."""
Phase = Literal["received", "queued", "routed", "loading", "prefill", "generating", "ended"]

_AHEAD = {
    "loaded": "already had the model in memory",
    "prefix": "had read the most of this prompt before",
    "home": "is where prompts that begin like this one go first",
    "idle": "had the most room",
    "fastest": "was expected to answer soonest",
    "cheapest": "costs the least",
    "own": "belongs to the tenant itself",
    "region": "is in the gateway's region",
    "turn": "was next in turn",
    "even": "was as good as any other",
    "last": "was the last of the ranking",
    "only": "was the only node that could run it",
    "queue": "had the first free slot",
}
_FAILED = {
    "node_lost": "was lost",
    "node_restarted": "restarted",
    "engine_crashed": "lost its engine",
    "engine_hung": "said nothing in time",
    "unavailable": "was not available",
    "overloaded": "had no room",
    "model_not_found": "did not have the model any more",
}
_LEFT_OUT = {
    "silent": "did not report",
    "draining": "was draining",
    "no_slots": "runs no requests",
    "engine": "had an engine that did not answer",
    "hung": "had an engine that hung with this model",
    "memory": "had too little memory for the model",
    "fetching": "was still fetching the model",
    "failed": "could not load the model",
    "breaker": "had failed with this model just before",
    "load": "would have taken longer to load the model",
    "region": "was in another region than the model's profile wants",
    "label": "lacked a label that the model's profile wants",
    "taint": "has a taint that the model's profile does not tolerate",
    "context": "had too little context",
}
"""Of the reasons for which a node is no candidate those that an administrator can do something about."""


@dataclass(frozen=True)
class Times:
    """What is known of when a request did what, in Unix seconds; ``None`` for what did not happen (yet)."""

    received_at: float
    started_at: float | None = None
    first_token_at: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True)
class Step:
    """One phase of a request: ``until`` is ``None`` for the one that is under way, and ``at`` itself for a mere moment."""

    phase: Phase
    at: float
    until: float | None
    node_name: str = ""
    detail: str = ""


def why(route: Route, *, outcome: str = "", error: str = "") -> str:
    """Why it ran where it ran, or why nowhere, in one sentence. ``outcome`` is empty for a request that is not over."""
    if not route.attempts:
        return _nowhere(route, outcome, error)
    last = route.attempts[-1]
    clauses = [f"{each.node_name} {_FAILED.get(each.error, 'failed')}" for each in route.attempts[:-1]]
    failed = {each.node for each in route.attempts[:-1]}
    full = [
        each.node_name for each in _before(route.candidates, last.node) if _is_full(each) and each.node not in failed
    ]
    if len(route.attempts) == 1 and route.waiting is not None:
        full = full or [each.node_name for each in route.candidates if _is_full(each) and each.node != last.node]
        clauses.append(f"{_named(full)} full" if full else "no slot was free at first")
        clauses.append(f"{last.node_name} had the first free slot")
    else:
        if full:
            clauses.append(f"{_named(full)} full")
        clauses.append(f"{last.node_name} {_AHEAD.get(last.reason, 'was the best of the ranking')}")
    return _sentence(clauses)


def _nowhere(route: Route, outcome: str, error: str) -> str:
    out = [f"{name} {_LEFT_OUT[reason]}" for name, reason in route.ruled_out.items() if reason in _LEFT_OUT]
    rest = out[:NAMED] + ([f"{len(out) - NAMED} others could not run it either"] if len(out) > NAMED else [])
    if outcome == "":
        full = [each.node_name for each in route.candidates if _is_full(each)]
        return _sentence(["it waits for a free slot", *([f"{_named(full)} full"] if full else [])])
    if route.waiting is not None:
        return _sentence(["no node had a free slot for it before it left the queue", *rest])
    if outcome == "refused":
        return _sentence([f"it was refused before a node was chosen{f' ({error})' if error else ''}", *rest])
    return _sentence(["no node was given it", *rest])


def timeline(route: Route, times: Times) -> list[Step]:
    """The phases of a request, in order; tries that failed have theirs, too."""
    steps = [Step("received", times.received_at, times.received_at)]
    ended = times.ended_at
    first = route.attempts[0].given_at if route.attempts else ended
    if route.waiting is not None or not route.attempts:
        place = "" if route.waiting is None else f"place {route.waiting}"
        if route.waiting is not None or ended is None:
            steps.append(Step("queued", times.received_at, first, detail=place))
    for number, attempt in enumerate(route.attempts):
        is_last = number == len(route.attempts) - 1
        until = ended if is_last else route.attempts[number + 1].given_at
        began = attempt.started_at or (times.started_at if is_last else None)
        steps.append(Step("routed", attempt.given_at, began or until, attempt.node_name, attempt.error))
        if began is not None:
            steps += _ran(attempt, began, times.first_token_at if is_last else None, until)
    if ended is not None:
        steps.append(Step("ended", ended, ended))
    return steps


def _ran(attempt: AttemptRecord, began: float, first_token: float | None, until: float | None) -> list[Step]:
    name, steps, prefill = attempt.node_name, [], began
    if attempt.load_ms:
        prefill = began + attempt.load_ms / 1000
        if (limit := first_token or until) is not None:
            prefill = min(prefill, limit)
        steps.append(Step("loading", began, prefill, name))
    steps.append(Step("prefill", prefill, first_token or until, name))
    if first_token is not None:
        steps.append(Step("generating", first_token, until, name))
    return steps


def _before(candidates: Sequence[ScoredNode], node: str) -> list[ScoredNode]:
    """Those that the ranking had before the node; all, where it did not have it."""
    names = [each.node for each in candidates]
    return list(candidates[: names.index(node)] if node in names else candidates)


def _is_full(candidate: ScoredNode) -> bool:
    return candidate.parts.get("room", 1.0) <= 0.0


def _named(names: Sequence[str]) -> str:
    """The nodes, with the verb."""
    if len(names) == 1:
        return f"{names[0]} was"
    if len(names) <= NAMED:
        return f"{', '.join(names[:-1])} and {names[-1]} were"
    return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more were"


def _sentence(clauses: Sequence[str]) -> str:
    """A node's name keeps its case at the beginning, too."""
    text = "; ".join(clauses)
    begins = ("it ", "no ")
    return (text[0].upper() + text[1:] if text.startswith(begins) else text) + "."
