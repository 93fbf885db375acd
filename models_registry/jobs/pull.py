"""Pulls a model from a registry into the blob store, and publishes it; the replicas follow by themselves."""

from __future__ import annotations

import asyncio
import json
import uuid

from django.conf import settings

from cluster.engines.template import is_jinja
from models_registry import manifest as manifests
from models_registry.actions.blob import blob_store, header_of_blob, refuse_beyond_quota, take_over
from models_registry.actions.version import make_version
from models_registry.blob_keys import blob_key
from models_registry.jobs import usable
from models_registry.jobs.asynchronous import run_until_stopped
from models_registry.jobs.work import Work
from models_registry.manifest import Layer
from models_registry.models import Job
from models_registry.queries.blob import has_blob
from models_registry.queries.upstream import allowed_registries
from models_registry.transfer.download import ATTEMPTS, Progress, download
from models_registry.transfer.image import read_image, remarks
from models_registry.transfer.reference import Reference
from models_registry.transfer.session import Broken, Session
from ollamamax.blobs.reading import read_bytes
from ollamamax.blobs.staging import Part
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal

_ACCEPT = ", ".join((manifests.IMAGE, manifests.OCI_IMAGE))


def pull(acting: Principal, job: Job, work: Work) -> None:
    """What is there already is not fetched again; what was begun is gone on with."""
    reference = Reference(**job.request)
    work.tell("pulling manifest")
    data = run_until_stopped(_manifest(reference), work)
    layers, config = read_image(data, settings.ENV["OLLAMAMAX_MAX_BLOB_BYTES"])
    for layer in dict.fromkeys([*layers, *([config] if config else [])]):
        _have(job.tenant_id, reference, layer, work)
    work.tell("verifying sha256 digest")
    [weights] = [layer for layer in layers if manifests.is_weights(layer.media_type)]
    header = header_of_blob(weights.digest).as_dict()
    kinds, (template, parameters) = {layer.media_type for layer in layers}, _texts(layers)
    for remark in remarks(kinds, template, parameters):
        work.tell(remark)
    work.tell("writing manifest")
    version = make_version(acting=acting, name=reference.name, config=header, layers=layers, image_config=config)
    usable.publish(
        acting, job, work, version, name=reference.name, loads=is_jinja(template) or manifests.ADAPTER in kinds
    )


async def _manifest(reference: Reference) -> bytes:
    async with Session(reference, allowed_registries()) as session:
        for attempt in range(ATTEMPTS):
            try:
                return await session.text("GET", f"manifests/{reference.tag}", headers={"Accept": _ACCEPT})
            except NotFound:
                raise NotFound("pull model manifest: file does not exist") from None
            except Broken:
                if attempt == ATTEMPTS - 1:
                    raise
                await asyncio.sleep(min(5.0, 0.1 * 2**attempt))
    raise AssertionError("the loop above returns or raises")


def _have(tenant: uuid.UUID, reference: Reference, layer: Layer, work: Work) -> None:
    """The tenant has the blob. Knowing its digest is not enough: what only others have is downloaded all the same."""
    status = f"pulling {layer.digest.removeprefix('sha256:')[:12]}"
    staging, name = blob_store().staging, layer.digest.removeprefix("sha256:")
    part = staging.part(tenant.hex, name)
    with part.alone(work.check):
        with tenant_scope(tenant):
            held = has_blob(layer.digest)
            if not held:
                # Before it is fetched; what was begun and left counts, or many of those would fill the disk.
                refuse_beyond_quota(layer.size + staging.begun(tenant.hex, but=name))
        if not held:
            run_until_stopped(
                _download(reference, layer, part, lambda have: work.tell_bytes(status, layer.digest, layer.size, have)),
                work,
            )
            take_over(tenant=tenant, staged=part, digest=layer.digest, size=layer.size, media_type=layer.media_type)
        work.tell_bytes(status, layer.digest, layer.size, layer.size)


async def _download(reference: Reference, layer: Layer, part: Part, progress: Progress) -> None:
    async with Session(reference, allowed_registries()) as session:
        await download(session, layer, part, progress)


def _texts(layers: list[Layer]) -> tuple[str, dict[str, object]]:
    """The template and the parameters of what was pulled."""
    found = {
        layer.media_type: read_bytes(blob_store(), blob_key(layer.digest))
        for layer in layers
        if layer.media_type in {manifests.TEMPLATE, manifests.PARAMS}
    }
    template = found.get(manifests.TEMPLATE, b"").decode(errors="replace")
    try:
        parameters = json.loads(found.get(manifests.PARAMS, b"{}"))
    except ValueError:
        parameters = {}
    return template, parameters if isinstance(parameters, dict) else {}
