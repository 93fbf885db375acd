"""What a chaos experiment asks for: the fault, the nodes, the hypothesis, what it is compared with, and when it is aborted. Pure."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from ollamamax.contract.experiment import LONGEST_FAULT, NodeFault
from ollamamax.kernel.errors import InvalidRequest

FAULTS: tuple[NodeFault, ...] = get_args(NodeFault)
KILLS: frozenset[NodeFault] = frozenset({"engine_kill", "agent_kill"})
ControlGroup = Literal["phases", "nodes"]
"""``phases``: all requests of the tenant in phases as long as those with the fault, without it; ``nodes``: the requests that other nodes ran in the same phases."""
LEAST_SECONDS = 5.0
MOST_REPEATS = 20
MOST_NODES = 100
LEAST_HOURS, MOST_HOURS = 1, 24 * 366


class Hypothesis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The steady state that is expected to hold in spite of the fault. ``None``: not looked at. ``failed_share`` of requests, between 0 and 1;
    ``first_token_p95_ms`` until the first token; ``recovery_seconds`` from a kill, or from the end of another fault, until the node is well."""

    failed_share: float | None = None
    first_token_p95_ms: float | None = None
    recovery_seconds: float | None = None


class AbortBounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """While it runs: it ends once more than ``failed_share`` of the last phase's requests failed, of at least ``requests``."""

    failed_share: float = 0.2
    requests: int = 20


class ExperimentTerms(msgspec.Struct, frozen=True):
    """``nodes`` and ``control_nodes`` by id (hex). ``repeats``: pairs of a phase with the fault and one without. ``at_once``: the blast radius, the most
    nodes that suffer it at the same time; the others take their turns in the next pairs."""

    fault: NodeFault
    nodes: tuple[str, ...]
    seconds: float = 30.0
    repeats: int = 3
    at_once: int = 1
    milliseconds: float = 0.0
    control: ControlGroup = "phases"
    control_nodes: tuple[str, ...] = ()
    hypothesis: Hypothesis = Hypothesis()
    abort: AbortBounds = AbortBounds()

    def targets(self, pair: int) -> tuple[str, ...]:
        """Those that suffer the fault in this pair, counted from 0."""
        width = min(self.at_once, len(self.nodes))
        return tuple(self.nodes[(pair * width + place) % len(self.nodes)] for place in range(width))


def check_terms(terms: ExperimentTerms) -> None:
    """Raises `InvalidRequest`."""
    _check(
        len(set(terms.nodes)) == len(terms.nodes) and 1 <= len(terms.nodes) <= MOST_NODES,
        "nodes",
        f"1 to {MOST_NODES} nodes, each once",
    )
    _check(
        LEAST_SECONDS <= terms.seconds <= LONGEST_FAULT, "seconds", f"{LEAST_SECONDS:g} to {LONGEST_FAULT:g} seconds"
    )
    _check(1 <= terms.repeats <= MOST_REPEATS, "repeats", f"1 to {MOST_REPEATS} repeats")
    _check(
        1 <= terms.at_once <= len(terms.nodes),
        "at_once",
        "at least one node at once, and at most as many as the experiment has",
    )
    _check(
        (terms.milliseconds > 0) == (terms.fault == "slow_answers"),
        "milliseconds",
        "milliseconds for slow answers, and for no other fault",
    )
    _check(0 <= terms.milliseconds <= 60_000, "milliseconds", "at most 60,000 milliseconds")
    other = set(terms.control_nodes)
    _check(
        bool(other) == (terms.control == "nodes"),
        "control_nodes",
        "nodes to compare with, for a control group of nodes only",
    )
    _check(
        not other & set(terms.nodes) and len(other) == len(terms.control_nodes) <= MOST_NODES,
        "control_nodes",
        "each node once, and none that suffers the fault",
    )
    hypothesis, abort = terms.hypothesis, terms.abort
    bounds = (hypothesis.failed_share, hypothesis.first_token_p95_ms, hypothesis.recovery_seconds)
    _check(any(each is not None for each in bounds), "hypothesis", "at least one bound")
    _check(all(each is None or 0 <= each <= 1e7 for each in bounds), "hypothesis", "bounds that are not negative")
    _check(hypothesis.failed_share is None or hypothesis.failed_share <= 1, "hypothesis", "a share of at most 1")
    _check(
        0 <= abort.failed_share <= 1 and 1 <= abort.requests <= 100_000,
        "abort",
        "a share between 0 and 1, of 1 to 100,000 requests",
    )


def _check(is_right: bool, param: str, what: str) -> None:
    if not is_right:
        raise InvalidRequest(f"An experiment needs {what} ('{param}').", param=param)
