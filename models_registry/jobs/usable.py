"""Points a name at a new version only when that can be used: whole on a node, and loaded there if its engine might refuse it."""

from __future__ import annotations

import time

from celery import current_app

from cluster.telemetry import read_states
from models_registry.actions.replica import reconcile_replicas
from models_registry.actions.version import discard_version, point_version
from models_registry.jobs.work import Stopped, Work
from models_registry.models import Job, Version
from models_registry.queries.node import nodes_of_tenant
from models_registry.replication.plan import hosts_blobs
from ollamamax.bus import keys, regions
from ollamamax.contract import ModelState
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import InvalidRequest, OllamaMaxError, Unavailable
from ollamamax.kernel.principal import Principal

LOOK_SECONDS = 0.2
SILENT_SECONDS = 30.0
"""Without a byte on any node for so long, nobody gets it now."""
LOAD_SECONDS = 120.0
LEASE_SECONDS = 60
"""A version that nobody works on any more is taken off the nodes after so long."""
OLD_SECONDS = 3.0
"""A failure that is told sooner may be that of a former try."""


def publish(acting: Principal, job: Job, work: Work, version: Version, *, name: str, loads: bool) -> None:
    """Point ``name`` at a version when a node has it; at once where no node runs what the registry has. What the name stood for
    serves until then, and stays when it fails: then the version is discarded.

    ``loads``: have a node load it first. Raises `InvalidRequest` with the engine's reason, `Unavailable`, `Conflict` and `Stopped`.
    """
    try:
        _until_usable(job, work, version, loads=loads)
        point_version(acting=acting, name=name, version=version)
    except Stopped:
        if _is_over(job):  # else another process goes on with it
            discard_version(acting=acting, version=version)
        raise
    except OllamaMaxError:
        discard_version(acting=acting, version=version)
        raise
    finally:
        regions.own().client.delete(_lease(version))


def _until_usable(job: Job, work: Work, version: Version, *, loads: bool) -> None:
    _hold(version)
    if not _held(job, version):
        return
    work.tell("copying to a node")
    reconcile_replicas()
    node = _until_there(job, work, version)
    if node is None or not loads:
        return
    work.tell("loading")
    if error := _load(job, work, version, node):
        raise InvalidRequest(f"The engine cannot load this model: {error}", param="model")


def _lease(version: Version) -> str:
    return keys.version_made(version.tenant_id.hex, version.digest)


def _hold(version: Version) -> None:
    """Nodes fetch it, and keep it, though no name points at it."""
    regions.own().client.set(_lease(version), b"1", ex=LEASE_SECONDS)


def _is_over(job: Job) -> bool:
    with tenant_scope(job.tenant_id):
        held = Job.objects.filter(pk=job.pk).first()
        return held is None or held.is_over


def _held(job: Job, version: Version) -> dict[str, ModelState | None]:
    """The tenant's nodes that are alive and run what the registry has, with what they say of the version."""
    with tenant_scope(job.tenant_id):
        ids = [node.id.hex for node in nodes_of_tenant()]
    states = {id_: state for id_, state in read_states(regions.own().client, ids).items() if hosts_blobs(state)}
    return {
        id_: next((model for model in state.models if model.version == version.digest), None)
        for id_, state in states.items()
    }


def _until_there(job: Job, work: Work, version: Version) -> str | None:
    """A node that has it whole; ``None`` when there is no node any more."""
    most, since = -1, time.monotonic()
    while True:
        work.check()
        _hold(version)
        held = _held(job, version)
        if not held:
            return None
        told = {id_: model for id_, model in held.items() if model is not None}
        for id_, model in told.items():
            if model.state in {"ready", "loading", "loaded"}:
                return id_
        done = sum(model.bytes_done or 0 for model in told.values())
        if done > most:
            most, since = done, time.monotonic()
        if time.monotonic() - since > SILENT_SECONDS:
            errors = [model.error for model in told.values() if model.state == "failed" and model.error]
            raise Unavailable(errors[0] if errors else "No node takes this model now.", retry_after=30)
        time.sleep(LOOK_SECONDS)


def _load(job: Job, work: Work, version: Version, node: str) -> str:
    """Why the node's engine cannot load it; empty when it can, or does not say in time."""
    began = time.monotonic()
    current_app.send_task(
        "cluster.load_model",
        kwargs={"version": version.digest, "name": version.manifest.get("name", "")},
        queue=keys.node_queue(node),
        expires=LOAD_SECONDS,
    )
    while (waited := time.monotonic() - began) < LOAD_SECONDS:
        work.check()
        _hold(version)
        model = _held(job, version).get(node)
        if model is not None and model.state == "loaded":
            return ""
        if model is not None and model.state == "failed" and waited > OLD_SECONDS:
            return model.error or "it does not say why"
        time.sleep(LOOK_SECONDS)
    return ""
