"""Which nodes may run a request at all, and why the others may not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cluster.scheduling.candidate import Candidate, Wanted
from cluster.scheduling.taints import untolerated
from ollamamax.contract import ModelState, NodeState
from ollamamax.contract.tables import EVERYBODY

_LOCAL = frozenset({"llamacpp", "ollama"})
"""Engines that load models into the memory of the host they are on; another's server may be anywhere."""
_IN_MEMORY = frozenset({"loading", "loaded"})


class FreeMemory(NamedTuple):
    """Bytes of a node's memory: what is ``free`` now, and the ``most`` there would be if every model had left; ``None`` where it is not known."""

    free: int | None
    most: int | None


def memory_of(state: NodeState) -> FreeMemory:
    free = max(0, state.memory_total - state.memory_used)
    for gpu in state.gpus:
        if gpu.memory_total is None or gpu.memory_used is None:
            return FreeMemory(None, None)
        free += max(0, gpu.memory_total - gpu.memory_used)
    return FreeMemory(free, free + sum(each.memory or 0 for each in state.models if each.state in _IN_MEMORY))


def bar(state: NodeState, model: ModelState, memory: FreeMemory, *, schedulable: bool) -> str:
    """Why a node takes no request for a version, whoever asks; empty when it does."""
    if state.draining or not schedulable:
        return "draining"
    if model.state in ("failed", "fetching"):
        return model.state
    if state.capacity < 1:
        return "no_slots"
    for engine in state.engines:
        if engine.kind == model.engine and not engine.healthy:
            if engine.quarantined is None:
                return "engine"
            if model.version in engine.quarantined:
                return "hung"
    return "memory" if can_hold(memory, model) is False else ""


def admissible(wanted: Wanted, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that nothing speaks `against`; of servers that all have less context than is asked for those that have most.

    Such a server cannot be loaded with more: it does what fits, and itself refuses a prompt that does not.
    """
    profile, tenant = wanted.profile, wanted.tenant
    if wanted.num_ctx is not None:
        reasons = [(against(wanted, each), each) for each in candidates]
        if able := [each for reason, each in reasons if not reason]:
            return able
        lesser = [each for reason, each in reasons if reason == "context" and each.most_context is not None]
        most = max((each.most_context or 0 for each in lesser), default=0)
        return [each for each in lesser if each.most_context == most]
    if profile.regions or profile.labels:
        return [each for each in candidates if not against(wanted, each)]
    return [
        each
        for each in candidates
        if not each.bar
        and (each.tenant == tenant or may_use(tenant, each))
        and not (each.taints and untolerated(each.taints, profile.tolerations))
    ]


def against(wanted: Wanted, candidate: Candidate) -> str:
    """Why a candidate may not run this request; empty when it may."""
    if candidate.bar:
        return candidate.bar
    if not may_use(wanted.tenant, candidate):
        return "tenant"
    profile = wanted.profile
    if profile.regions and candidate.region not in profile.regions:
        return "region"
    if profile.labels and any(candidate.labels.get(name) != value for name, value in profile.labels.items()):
        return "label"
    if candidate.taints and untolerated(candidate.taints, profile.tolerations):
        return "taint"
    return "context" if _lacks_context(wanted, candidate) else ""


def may_use(tenant: str, candidate: Candidate) -> bool:
    """Whether the node runs the tenant's requests."""
    if tenant == candidate.tenant:
        return True
    return candidate.shared and (tenant in candidate.access or EVERYBODY in candidate.access)


def _lacks_context(wanted: Wanted, candidate: Candidate) -> bool:
    """More than the profile gives is had only where an instance with it is loaded: nothing is reloaded for it."""
    profile, asked = wanted.profile, wanted.num_ctx
    if asked is None:
        return False
    if candidate.most_context is not None:
        return asked > candidate.most_context
    if profile.num_ctx is None or asked <= profile.num_ctx or profile.outside != "route":
        return False
    return candidate.residence != "loaded" or candidate.context is None or candidate.context < asked


def weighs(model: ModelState) -> int | None:
    """Bytes that must be free for it to be loaded; ``None`` when it is loaded, or that is not known."""
    return None if model.state in _IN_MEMORY or model.engine not in _LOCAL else model.size


def can_hold(memory: FreeMemory, model: ModelState) -> bool | None:
    """Whether its weights could be in the node's memory if every other model had left; ``None`` when that is not known."""
    return _is_held(memory.most, model)


def fits(memory: FreeMemory, model: ModelState) -> bool | None:
    """Whether its weights fit into what is free now; ``None`` when that is not known."""
    return _is_held(memory.free, model)


def _is_held(free: int | None, model: ModelState) -> bool | None:
    if model.state in _IN_MEMORY:
        return True
    weight = weighs(model)
    return None if weight is None or free is None else weight <= free
