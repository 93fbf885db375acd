"""Pushes a model of the tenant to a registry: the blobs it lacks, then the manifest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from yarl import URL

from models_registry import manifest as manifests
from models_registry.actions.blob import blob_store
from models_registry.actions.create import image_config_blob
from models_registry.blob_keys import blob_key
from models_registry.jobs.asynchronous import run_until_stopped
from models_registry.jobs.work import Work
from models_registry.manifest import Layer
from models_registry.models import Job, Version
from models_registry.queries.model import find_channel
from models_registry.queries.upstream import allowed_registries
from models_registry.transfer.download import ATTEMPTS
from models_registry.transfer.reference import Reference
from models_registry.transfer.session import Broken, RegistryFailed, Session
from ollamamax.blobs.reading import pieces
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import NotFound, Unsupported
from ollamamax.kernel.principal import Principal


def push(acting: Principal, job: Job, work: Work) -> None:
    """What the registry has already is not sent again."""
    reference = Reference(**job.request)
    work.tell("retrieving manifest")
    with tenant_scope(job.tenant_id):
        version = find_channel(reference.name).version
        if version.source == Version.Source.EXTERNAL:
            engine = version.manifest.get("engine", "")
            raise Unsupported(
                f"'{reference.name}' is kept by the {engine} engine of a node: it cannot be pushed from here.",
                param="model",
                engine=engine,
            )
        if version.source == Version.Source.ARTIFACT:
            raise Unsupported(
                f"'{reference.name}' is no model but an artefact: copy it by the registry protocol.", param="model"
            )
        layers = manifests.layers_of(version.manifest)
        config = manifests.image_config_of(version.manifest)
        if config is None:
            config = image_config_blob(job.tenant_id, version.details, layers)
    for layer in dict.fromkeys([*layers, config]):
        run_until_stopped(_send(reference, layer, work), work)
    work.tell("pushing manifest")
    run_until_stopped(_finish(reference, manifests.image(version.manifest, config)), work)


async def _send(reference: Reference, layer: Layer, work: Work) -> None:
    status = f"pushing {layer.digest.removeprefix('sha256:')[:12]}"

    def sent(count: int) -> None:
        work.tell_bytes(status, layer.digest, layer.size, count)

    sent(0)
    async with Session(reference, allowed_registries()) as session:
        for attempt in range(ATTEMPTS):
            try:
                if not await _has(session, layer):
                    await _upload(session, layer, sent)
                break
            except Broken:
                if attempt == ATTEMPTS - 1:
                    raise
                await asyncio.sleep(min(5.0, 0.1 * 2**attempt))
    sent(layer.size)


async def _has(session: Session, layer: Layer) -> bool:
    try:
        await session.text("HEAD", f"blobs/{layer.digest}", scope="pull,push")
    except NotFound:
        return False
    return True


async def _upload(session: Session, layer: Layer, sent: Callable[[int], None]) -> None:
    """In one piece, as the distribution specification's "POST then PUT"."""
    async with session.request("POST", session.address("blobs/uploads/"), scope="pull,push") as response:
        location = response.headers.get("Location")
        if not location:
            raise RegistryFailed("The registry does not say where a blob is to be sent.")
        place = response.url.join(URL(location, encoded=True)).update_query(digest=layer.digest)
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(layer.size)}
    async with session.request(
        "PUT", str(place), scope="pull,push", headers=headers, data=lambda: _told(layer.digest, sent)
    ) as response:
        await response.read()


async def _told(digest: str, sent: Callable[[int], None]) -> AsyncIterator[bytes]:
    count = 0
    async for piece in pieces(blob_store(), blob_key(digest)):
        yield piece
        count += len(piece)
        sent(count)


async def _finish(reference: Reference, image: bytes) -> None:
    async with Session(reference, allowed_registries()) as session:
        headers = {"Content-Type": manifests.IMAGE}
        await session.text("PUT", f"manifests/{reference.tag}", scope="pull,push", headers=headers, data=lambda: image)
