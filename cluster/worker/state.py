"""Puts a node's state together from what was measured. Pure."""

from __future__ import annotations

from cluster.worker.telemetry import Host
from ollamamax import contract
from ollamamax.contract.bounds import MOST_MODELS
from ollamamax.contract.experiment import FaultState, NodeFault
from ollamamax.contract.peers import PeerPlace


def models(on_disk: list[contract.ModelState], in_engines: list[contract.ModelState]) -> list[contract.ModelState]:
    """One state for each version: what an engine says of it goes before what lies on the disk."""
    found = {state.version: state for state in on_disk}
    for state in in_engines:
        found[state.version] = state
    # More than that, and longer names, nobody takes from a node.
    return [_bounded(found[version]) for version in sorted(found) if len(found[version].name) <= 400][:MOST_MODELS]


def _bounded(model: contract.ModelState) -> contract.ModelState:
    if model.error is not None:
        model.error = contract.told(model.error)
    return model


def _told(engine: contract.Engine) -> contract.Engine:
    if engine.error is not None:
        engine.error = contract.told(engine.error)
    return engine


def compose(
    *,
    node: str,
    tenant: str,
    boot: str,
    seq: int,
    at: float,
    agent_version: str,
    engines: list[contract.Engine],
    capacity: int,
    running: int,
    waiting: int,
    tokens_per_second: float,
    models: list[contract.ModelState],
    host: Host,
    draining: bool,
    clock_skew_seconds: float | None = None,
    tokens_total: int | None = None,
    silence: contract.Silence | None = None,
    peer: PeerPlace | None = None,
    faults: list[NodeFault] | None = None,
    fault: FaultState | None = None,
) -> contract.NodeState:
    told = [_told(engine) for engine in engines]
    return contract.NodeState(
        node=node,
        tenant=tenant,
        boot=boot,
        seq=seq,
        at=at,
        agent_version=agent_version,
        engines=told,
        capacity=capacity,
        running=running,
        waiting=waiting,
        tokens_per_second=round(tokens_per_second, 2),
        models=models,
        cpu_percent=host.cpu_percent,
        cpu_count=host.cpu_count,
        memory_used=host.memory_used,
        memory_total=host.memory_total,
        disk_used=host.disk_used,
        disk_total=host.disk_total,
        network_received_per_second=round(host.received_per_second, 1),
        network_sent_per_second=round(host.sent_per_second, 1),
        gpus=host.gpus,
        gpu_note=host.gpu_note,
        draining=draining,
        clock_skew_seconds=clock_skew_seconds,
        tokens_total=tokens_total,
        silence=silence,
        peer=peer,
        models_digest=contract.models_digest(models, told),
        faults=faults or [],
        fault=fault,
    )


class TokenRate:
    """Tokens a second between two looks at a count that only grows."""

    def __init__(self, at: float, count: int = 0) -> None:
        self._at = at
        self._count = count

    def next(self, at: float, count: int) -> float:
        seconds, made = at - self._at, count - self._count
        self._at, self._count = at, count
        return made / seconds if seconds > 0 else 0.0
