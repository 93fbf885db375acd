"""Reads chaos experiments and their runs, and what a run is decided from: nodes as they are now, and the requests of its phases."""

from __future__ import annotations

import datetime
import random
import uuid
from collections.abc import Sequence
from typing import cast

import msgspec
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from cluster.experiments.figures import (
    CountedRequest,
    Pair,
    RunReport,
    compare,
    figures_of,
    judge,
)
from cluster.experiments.plan import ExperimentNodeFacts, ExperimentRunFacts, PhaseRecord, RunPlan
from cluster.experiments.terms import AbortBounds, ControlGroup, ExperimentTerms, Hypothesis
from cluster.models import Experiment, ExperimentRun, Node
from cluster.queries.node import states
from ollamamax.contract import NodeState
from ollamamax.contract.experiment import NodeFault
from ollamamax.kernel.errors import NotFound
from ollamamax.metering.models import UsageRecord

MOST_REQUESTS = 20_000
"""Of one phase that are looked at: the first."""
_FINE = ["ok", "cancelled", "refused"]
_USABLE = frozenset({"present", "ready", "loading", "loaded"})


def experiments() -> QuerySet[Experiment]:
    """Those of the tenant in scope, each with the state of its last run (``last_state``), how that was judged, and when it began."""
    last = ExperimentRun.objects.filter(experiment=OuterRef("pk")).order_by("-began_at")
    return Experiment.objects.annotate(
        last_state=Subquery(last.values("state")[:1]),
        last_verdict=Subquery(last.values("report__verdict")[:1]),
        last_at=Subquery(last.values("began_at")[:1]),
    )


def get_experiment(experiment_id: uuid.UUID) -> Experiment:
    """Raises `NotFound`."""
    found = experiments().filter(pk=experiment_id).first()
    if found is None:
        raise NotFound("There is no such experiment.")
    return found


def runs_of(experiment_id: uuid.UUID) -> QuerySet[ExperimentRun]:
    """Raises `NotFound` where there is no such experiment."""
    return get_experiment(experiment_id).runs.all()


def terms_of(experiment: Experiment) -> ExperimentTerms:
    return ExperimentTerms(
        fault=cast("NodeFault", experiment.fault),
        nodes=tuple(experiment.nodes),
        seconds=experiment.seconds,
        repeats=experiment.repeats,
        at_once=experiment.at_once,
        milliseconds=experiment.milliseconds,
        control=cast("ControlGroup", experiment.control),
        control_nodes=tuple(experiment.control_nodes),
        hypothesis=msgspec.convert(experiment.hypothesis, Hypothesis),
        abort=msgspec.convert(experiment.abort, AbortBounds),
    )


def held_terms(run: ExperimentRun) -> ExperimentTerms:
    return msgspec.convert(run.terms, ExperimentTerms)


def held_plan(run: ExperimentRun) -> RunPlan:
    return msgspec.convert(run.plan, RunPlan)


def held_report(run: ExperimentRun) -> RunReport | None:
    return None if run.report is None else msgspec.convert(run.report, RunReport)


def facts(phase: PhaseRecord | None, stopped_by: str = "") -> ExperimentRunFacts:
    """The nodes of the tenant in scope as they are now, and the requests of the phase under way as far as they are written down. Queries: 2, and one call of Redis."""
    nodes = list(Node.objects.all())
    told = states(nodes)
    names = {model.version: model.name for state in told.values() for model in state.models}
    seen = {node.pk.hex: _node_facts(node, told.get(node.pk.hex)) for node in nodes}
    requests = failed = 0
    if phase is not None and phase.ended_at is None:
        counted = _within(phase.began_at, None).aggregate(
            all=Count("pk"), failed=Count("pk", filter=~Q(outcome__in=_FINE))
        )
        requests, failed = counted["all"], counted["failed"]
    return ExperimentRunFacts(seen, requests, failed, stopped_by, names)


def report_of(plan: RunPlan, terms: ExperimentTerms) -> RunReport:
    """What the phases of a run measured. Queries: 1 for each phase, and a second one for a control group of nodes."""
    by_nodes = terms.control == "nodes"
    asked = [_requests(phase, phase.nodes if by_nodes else ()) for phase in plan.phases]
    others = [_requests(phase, terms.control_nodes) for phase in plan.phases] if by_nodes else []
    faults = [place for place, phase in enumerate(plan.phases) if phase.kind == "fault"]
    if by_nodes:
        pairs = [Pair(others[place], asked[place]) for place in faults]
    else:
        of_pair = {(phase.pair, phase.kind): requests for phase, requests in zip(plan.phases, asked, strict=True)}
        pairs = [
            Pair(of_pair[pair, "control"], of_pair[pair, "fault"])
            for pair in range(terms.repeats)
            if (pair, "control") in of_pair and (pair, "fault") in of_pair
        ]
    share, first_token = compare(pairs, random.Random(plan.id))  # noqa: S311 - draws that can be repeated
    suffered = [request for place in faults for request in asked[place]]
    recoveries = [plan.phases[place].recovery_seconds for place in faults]
    judged, verdict = judge(terms.hypothesis, suffered, recoveries)
    return RunReport(
        tuple(figures_of(each) for each in asked),
        tuple(figures_of(each) for each in others),
        share,
        first_token,
        judged,
        verdict,
    )


def _requests(phase: PhaseRecord, nodes: Sequence[str]) -> list[CountedRequest]:
    """Requests that came in the phase and have ended; where nodes are named, those that these ran last."""
    found = _within(phase.began_at, phase.ended_at)
    if nodes:
        found = found.filter(node__in=[uuid.UUID(node) for node in nodes])
    rows = found.order_by("received_at").values_list("outcome", "first_token_ms")[:MOST_REQUESTS]
    return [CountedRequest(outcome not in _FINE, first) for outcome, first in rows]


def _within(begin: float, end: float | None) -> QuerySet[UsageRecord]:
    """Requests of the tenant in scope that came then; nobody waits for shadows."""
    found = UsageRecord.objects.filter(received_at__gte=_time(begin), shadow_of=None).exclude(
        outcome__in=["refused", "cancelled"]
    )
    return found if end is None else found.filter(received_at__lt=_time(end))


def _time(at: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at, datetime.UTC)


def _node_facts(node: Node, state: NodeState | None) -> ExperimentNodeFacts:
    if state is None:
        return ExperimentNodeFacts(node.name, heard=False, well=False)
    healthy = bool(state.engines) and all(engine.healthy for engine in state.engines)
    return ExperimentNodeFacts(
        node.name,
        heard=True,
        well=healthy and not state.draining and node.lifecycle == "ready",
        boot=state.boot,
        allows=frozenset(state.faults),
        fault=state.fault,
        versions=frozenset(model.version for model in state.models if model.state in _USABLE),
    )
