"""Jobs on models that engines keep by themselves: ordered of every node that is concerned, their progress merged."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import redis
from celery import current_app

from cluster.telemetry import ignore, read_states
from models_registry.actions.job import PROTECTED
from models_registry.actions.name import delete_name
from models_registry.actions.version import register_external
from models_registry.jobs.work import Stopped, Work
from models_registry.models import Job, Version
from models_registry.queries.model import find_channel, is_protected
from models_registry.queries.node import nodes_of_tenant
from ollamamax.bus import keys, regions
from ollamamax.contract import NodeState, Nonsense, OrderState, decode_order
from ollamamax.contract.bounds import MOST_ORDER_BYTES
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, OllamaMaxError, Unavailable, Unsupported
from ollamamax.kernel.principal import Principal

ENGINE = "ollama"
"""The kind that keeps its models by itself and lets them be changed."""
LOOK_SECONDS = 0.3
SILENT_SECONDS = 10.0
"""A node that says nothing about its order for so long is asked again; after `MOST_ASKED` times it has failed."""
MOST_ASKED = 6
SEEN_SECONDS = 20.0
"""Until a node's state shows what its engine did."""


@dataclass
class _Order:
    node: str
    name: str
    asked_at: float = -math.inf
    """This process's monotonic clock."""
    asked: int = 0
    told_at: float = 0.0
    """What its state said last of when it was told, by the node's clock; ``heard_at`` by this one's, when that changed."""
    heard_at: float = -math.inf
    state: OrderState | None = None


def engine_nodes(job: Job) -> dict[str, NodeState]:
    """The tenant's nodes that are alive and whose engine is an Ollama, by id."""
    return {id_: state for id_, state in _alive(job).items() if _kinds(state) == {ENGINE}}


def hosts_blobs(job: Job) -> bool:
    """Whether the tenant's fleet runs models from the registry; one without any node counts as if it did."""
    with tenant_scope(job.tenant_id):
        nodes = nodes_of_tenant()
    return not nodes or any(node.engine == "llamacpp" for node in nodes)


def is_kept_by_engines(job: Job, name: str) -> bool:
    """Whether the name is a model that engines keep. Raises `ModelNotFound`."""
    with tenant_scope(job.tenant_id):
        return find_channel(name).version.source == Version.Source.EXTERNAL


def pull(acting: Principal, job: Job, work: Work, name: str, body: dict[str, Any]) -> None:
    """Every Ollama of the tenant pulls it."""
    nodes = engine_nodes(job)
    if not nodes:
        raise Unavailable("No node with an ollama engine is there to pull it.", retry_after=10)
    _require_unprotected(job, name)
    _order(job, work, nodes, "pull", dict.fromkeys(nodes, body))
    _take_over(acting, job, work, name)


def create(acting: Principal, job: Job, work: Work) -> None:
    """Every Ollama that has the model it is made from makes it."""
    wanted = dict(job.request)
    for field in ("files", "adapters"):
        if field in wanted:
            raise Unsupported(f"The {ENGINE} engine of a node cannot do '{field}' from here.", param=field)
    holders = _holders(job, wanted["from"])
    _require_unprotected(job, wanted["model"])
    bodies = {id_: wanted | {"from": name} for id_, (_, name) in holders.items()}
    _order(job, work, {id_: state for id_, (state, _) in holders.items()}, "create", bodies)
    _take_over(acting, job, work, wanted["model"])


def delete(acting: Principal, job: Job, work: Work) -> None:
    """Every Ollama that has it deletes it; then the name goes."""
    name = job.request["model"]
    with tenant_scope(job.tenant_id):
        channel = find_channel(name)
    _require_unprotected(job, name)
    version = channel.version
    kind = version.manifest.get("engine", "")
    if kind != ENGINE:
        raise Unsupported(
            f"The {kind} engine of a node cannot delete models: '{name}' is there as long as its server is started with it.",
            param="model",
            engine=kind,
        )
    holders = _holders(job, name, needed=False)
    bodies: dict[str, dict[str, Any]] = {id_: {"model": own} for id_, (_, own) in holders.items()}
    _order(job, work, {id_: state for id_, (state, _) in holders.items()}, "delete", bodies)
    _wait(work, lambda: not _holders(job, name, needed=False))
    delete_name(acting=acting, name=name)


def _require_unprotected(job: Job, name: str) -> None:
    """Before an engine is told anything: it changes bytes first, and the registry could only refuse to point at them. Raises `Conflict`."""
    with tenant_scope(job.tenant_id):
        if is_protected(name):
            raise Conflict(PROTECTED.format(name), param="model")


def _order(job: Job, work: Work, nodes: dict[str, NodeState], verb: str, bodies: dict[str, dict[str, Any]]) -> None:
    """Raises the first node's error when one fails, and `Stopped`."""
    client = regions.own().client
    with tenant_scope(job.tenant_id):
        names = {node.id.hex: node.name for node in nodes_of_tenant()}
    orders = [_Order(node, names.get(node, node)) for node in nodes]
    try:
        while any(order.state is None or order.state.state == "running" for order in orders):
            work.check()
            for order in orders:
                _look(client, job, order, verb, bodies[order.node])
            _merge(work, orders)
            time.sleep(LOOK_SECONDS)
    except Stopped:
        for order in orders:
            current_app.send_task(
                "models_registry.cancel_order",
                kwargs={"order": _id(job)},
                queue=keys.node_queue(order.node),
                expires=SILENT_SECONDS,
            )
        raise
    failed = [order for order in orders if order.state and order.state.state == "failed"]
    if failed:
        raise _EngineError(failed, len(orders))


class _EngineError(OllamaMaxError):
    def __init__(self, failed: list[_Order], of: int) -> None:
        states = [order.state for order in failed if order.state]
        told = "; ".join(f"{order.name}: {order.state.error}" for order in failed if order.state)
        super().__init__(told if of == 1 else f"{len(failed)} of {of} nodes failed. {told}")
        self.code, self.status = states[0].code or "engine_failed", states[0].status or 502


def _id(job: Job) -> str:
    """One for each attempt, so that what a former attempt was told is not taken for this one's."""
    return f"{job.id.hex}.{job.attempts}"


def _look(client: Any, job: Job, order: _Order, verb: str, body: dict[str, Any]) -> None:
    if order.state is not None and order.state.state != "running":
        return
    now = time.monotonic()
    data = _told(client, order.node, _id(job))
    if data is not None:
        try:
            order.state = decode_order(data)
        except Nonsense as error:
            ignore(order.node, error.reason)
            problem = f"What the node says of it cannot be read: {error.reason}."
            order.state = OrderState("failed", time.time(), error=problem, code="engine_failed", status=502)
    if order.state is not None and order.state.at != order.told_at:
        # By the node's clock: that it changed is what counts, and when it was seen to.
        order.told_at, order.heard_at = order.state.at, now
    heard = max(order.asked_at, order.heard_at)
    if now - heard < SILENT_SECONDS or (order.state and order.state.state != "running"):
        return
    if order.asked >= MOST_ASKED:
        order.state = OrderState(
            "failed", order.told_at, error="The node does not answer.", code="unavailable", status=503
        )
        return
    order.asked_at, order.asked = now, order.asked + 1
    current_app.send_task(
        "models_registry.order_of_engine",
        kwargs={"order": _id(job), "verb": verb, "body": body},
        queue=keys.node_queue(order.node),
        expires=SILENT_SECONDS,
    )


def _told(client: Any, node: str, order: str) -> bytes | None:
    try:
        if client.hstrlen(keys.node_orders(node), order) > MOST_ORDER_BYTES:
            return b""
        told: bytes | None = client.hget(keys.node_orders(node), order)
    except redis.ResponseError:  # the node left something else there
        return b""
    return told


def _merge(work: Work, orders: list[_Order]) -> None:
    """One message for each blob, its bytes summed over the nodes."""
    total: dict[tuple[str, str], list[int]] = {}
    for order in orders:
        for row in order.state.progress if order.state else []:
            status, digest = row.get("status", ""), row.get("digest")
            if not digest:
                if status != "success":
                    work.tell_once(status)
                continue
            sums = total.setdefault((status, digest), [0, 0])
            sums[0] += row.get("total") or 0
            sums[1] += row.get("completed") or 0
    for (status, digest), (size, completed) in total.items():
        work.tell_bytes(status, digest, size, completed)


def _holders(job: Job, name: str, *, needed: bool = True) -> dict[str, tuple[NodeState, str]]:
    """Nodes that are alive and have the model, with what their engine calls it."""
    with tenant_scope(job.tenant_id):
        digest = find_channel(name).version.digest
    found = {
        id_: (state, model.name)
        for id_, state in _alive(job).items()
        for model in state.models
        if model.version == digest and model.engine == ENGINE
    }
    if needed and not found:
        raise Unavailable(f"No node that has '{name}' is there now.", retry_after=10)
    return found


def _take_over(acting: Principal, job: Job, work: Work, name: str) -> None:
    """Point the name at what the engines have under it now."""

    def seen() -> tuple[str, int | None] | None:
        for state in _alive(job).values():
            for model in state.models:
                if model.engine == ENGINE and model.name == name:
                    return model.version, model.size
        return None

    # A node's state is up to two seconds old, and may still show what the name stood for before.
    time.sleep(2.5)
    found = _wait(work, seen)
    if found is None:
        raise Unavailable(f"The engines did it, but no node reports '{name}' yet.", retry_after=10)
    digest, size = found
    register_external(acting=acting, name=name, digest=digest, engine=ENGINE, size=size, move=True)


def _wait(work: Work, condition: Any) -> Any:
    """The first true value, or the last one when it does not become true in time."""
    end = time.monotonic() + SEEN_SECONDS
    while not (value := condition()) and time.monotonic() < end:
        work.check()
        time.sleep(LOOK_SECONDS)
    return value


def _alive(job: Job) -> dict[str, NodeState]:
    with tenant_scope(job.tenant_id):
        ids = [node.id.hex for node in nodes_of_tenant()]
    return read_states(regions.own().client, ids)


def _kinds(state: NodeState) -> set[str]:
    return {engine.kind for engine in state.engines}
