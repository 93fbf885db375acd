"""Reads how the fleet is, as the loop `cluster.watch_fleet` published it last."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

import msgspec
import redis
from redis.exceptions import RedisError

from cluster.health.judge import SYSTEM
from cluster.health.steady import ordered
from cluster.queries.node import nodes
from ollamamax import logs
from ollamamax.bus import clock, keys, regions
from ollamamax.contract.health import FRESH_SECONDS, Condition, Counts, Finding, FleetHealth, decode_health
from ollamamax.kernel.errors import Unavailable
from ollamamax.kernel.principal import Principal

_log = logs.get(__name__)
_SYSTEM_STATE = "tenant.manage"
"""Who has this permission sees how the control plane is."""


@dataclass(frozen=True)
class FleetProblem:
    """A finding, and what it is about: ``kind`` is node, model, fleet or system; ``id`` that of the node or the model, or empty."""

    kind: str
    id: str
    name: str
    finding: Finding


@dataclass(frozen=True)
class FleetReport:
    """``at`` is ``None`` where it was never judged. ``problems`` and ``notices`` are in the order in which they matter."""

    state: Condition
    at: float | None
    counts: Counts
    problems: list[FleetProblem] = field(default_factory=list)
    notices: list[FleetProblem] = field(default_factory=list)


def health_of(tenant: str) -> FleetHealth | None:
    """The tenant's last report; ``None`` where there is none that is fresh, or Redis is away. For those who show more than health."""
    try:
        found = _read(tenant)[0]
    except RedisError as error:
        _log.warning("health_unreadable", error=str(error))
        return None
    return found if found is not None and clock.now() - found.at < FRESH_SECONDS else None


def fleet_health(acting: Principal) -> FleetReport:
    """How the fleet of the tenant in scope is, as far as ``acting`` may see it. Raises `Unavailable`. Queries: 1 for who may see single nodes only."""
    tenant = acting.tenant or ""
    try:
        report, system = _read(tenant)
    except RedisError as error:
        _log.warning("health_unreadable", error=str(error))
        raise Unavailable("How the fleet is cannot be read right now.", retry_after=1) from error
    now = clock.now()
    if system is None or now - system.at >= FRESH_SECONDS:
        return _unknown(system, now)
    report = report or FleetHealth(system.at, "healthy", Counts(), findings=[_empty(system.at)])
    found = list(_problems(report, _visible_nodes(acting), _visible_models(acting)))
    if acting.may("node.view"):
        found += [FleetProblem("fleet", "", "", each) for each in report.findings]
    states: set[Condition] = {report.state}
    if acting.may(_SYSTEM_STATE):
        found += [FleetProblem("system", "", "", each) for each in system.findings]
        states.add(system.state)
    subjects = {id(each.finding): each for each in found}
    told = [subjects[id(each)] for each in ordered([problem.finding for problem in found])]
    return FleetReport(
        state=next((each for each in ("unhealthy", "degraded") if each in states), "healthy"),
        at=report.at,
        counts=report.counts,
        problems=[each for each in told if each.finding.severity != "notice"],
        notices=[each for each in told if each.finding.severity == "notice"],
    )


def read_reports(client: redis.Redis) -> dict[str, FleetHealth]:
    """All that were published last, by tenant (hex), those of another version left out. Raises `RedisError`."""
    found = cast("dict[bytes, bytes]", client.hgetall(keys.HEALTH))
    decoded = {tenant.decode(): _decoded(value) for tenant, value in found.items()}
    return {tenant: report for tenant, report in decoded.items() if report is not None}


def _read(tenant: str) -> tuple[FleetHealth | None, FleetHealth | None]:
    """The tenant's report and that on the control plane. Raises `RedisError`."""
    found = cast("list[bytes | None]", regions.own().client.hmget(keys.HEALTH, [tenant or "-", SYSTEM]))
    return _decoded(found[0]), _decoded(found[1])


def _decoded(value: bytes | None) -> FleetHealth | None:
    if value is None:
        return None
    try:
        return decode_health(value)
    except msgspec.MsgspecError:
        # Written by another version of this program, which will soon be gone.
        return None


def _unknown(system: FleetHealth | None, now: float) -> FleetReport:
    text = "How the fleet is was never judged: no controller runs."
    if system is not None:
        text = (
            f"How the fleet is was judged {now - system.at:.0f} s ago last: no controller runs, or it does not keep up."
        )
    since = now if system is None else system.at
    finding = Finding("health_unknown", "critical", text, round(since, 3))
    return FleetReport(
        "unknown", None if system is None else system.at, Counts(), [FleetProblem("system", "", "", finding)]
    )


def _empty(at: float) -> Finding:
    return Finding("no_nodes", "notice", "There is no node yet.", at)


def _visible_nodes(acting: Principal) -> set[str] | None:
    """``None``: all of them."""
    return None if acting.may("node.view") else {node.hex for node in nodes(acting).values_list("pk", flat=True)}


def _visible_models(acting: Principal) -> set[str] | None:
    if acting.may("model.view"):
        return None
    return {on.removeprefix("model:") for permission, on in acting.grants if permission == "model.view"}


def _problems(report: FleetHealth, only_nodes: set[str] | None, only_models: set[str] | None) -> Iterable[FleetProblem]:
    for node, judged in report.nodes.items():
        if only_nodes is None or node in only_nodes:
            for finding in judged.findings:
                yield FleetProblem("node", str(uuid.UUID(node)), judged.name, finding)
    for name, model in report.models.items():
        if only_models is None or model.id in only_models:
            for finding in model.findings:
                yield FleetProblem("model", model.id and str(uuid.UUID(model.id)), name, finding)
