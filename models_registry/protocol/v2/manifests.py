"""Manifests of a repository: read by tag or digest, pushed, deleted; tags, referrers, and the names of repositories."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from models_registry.actions.image import delete_image, delete_tag, image_for, push_image
from models_registry.distribution import image as images
from models_registry.distribution.faults import RegistryFault, digest_invalid, manifest_unknown
from models_registry.distribution.names import checked_digest, is_digest, is_tag
from models_registry.models import Image, MirroredImage
from models_registry.protocol.v2.call import NamePage, V2Call
from models_registry.protocol.v2.mirrored import read_manifest
from models_registry.queries import repository as queries
from models_registry.queries.mirror import find_mirrored, kept_tags
from ollamamax.kernel.errors import TooLarge

_MOST_REFERRERS = 100
"""Of one answer: each comes with its annotations."""


async def read(call: V2Call) -> Response:
    if is_digest(call.place.item):
        checked_digest(call.place.item)
    found, more = await _found(call)
    headers = {"docker-content-digest": found.digest, "etag": f'"{found.digest}"', **more}
    if call.request.headers.get("if-none-match", "").strip('"') == found.digest:
        return Response(status_code=304, headers=headers)
    return Response(bytes(found.body), headers=headers, media_type=found.media_type)


async def _found(call: V2Call) -> tuple[Image | MirroredImage, dict[str, str]]:
    """And the headers that say where it is from."""
    mirrored = await call.database(lambda: find_mirrored(call.acting, call.name))
    if mirrored is not None:
        return await read_manifest(call, mirrored)
    return await call.database(lambda: _find(call)), {}


def _find(call: V2Call) -> Image:
    repository = queries.require_to_pull(call.acting, call.name)
    found = queries.within(repository, lambda: queries.image_in(repository, call.place.item))
    return found if isinstance(found, Image) else image_for(repository, call.place.item)


async def push(call: V2Call) -> Response:
    reference = call.place.item
    if not (is_digest(reference) or is_tag(reference)):
        raise RegistryFault("MANIFEST_INVALID", 400, "This is neither a tag nor a digest.")
    image = images.read(await _body(call), call.request.headers.get("content-type", ""))
    if is_digest(reference) and checked_digest(reference) != image.digest:
        raise digest_invalid(f"The manifest has the digest {image.digest}.")
    tag = "" if is_digest(reference) else reference
    made = await call.database(lambda: push_image(acting=call.acting, name=call.name, tag=tag, image=image))
    headers = {"location": call.address(f"manifests/{made.digest}"), "docker-content-digest": made.digest}
    if made.subject:
        headers["oci-subject"] = made.subject
    return Response(status_code=201, headers=headers)


async def _body(call: V2Call) -> bytes:
    body = bytearray()
    async for part in call.request.stream():
        body += part
        if len(body) > images.MOST_BYTES:
            raise TooLarge(f"A manifest has at most {images.MOST_BYTES} bytes.", limit=images.MOST_BYTES)
    return bytes(body)


async def delete(call: V2Call) -> Response:
    reference = call.place.item
    if is_digest(reference):
        digest = checked_digest(reference)
        await call.database(lambda: delete_image(acting=call.acting, name=call.name, digest=digest))
    elif is_tag(reference):
        await call.database(lambda: delete_tag(acting=call.acting, name=call.name, tag=reference))
    else:
        raise manifest_unknown(reference)
    return Response(status_code=202)


async def tags(call: V2Call) -> Response:
    page = NamePage.asked(call.request)

    def read_tags() -> list[str]:
        mirrored = find_mirrored(call.acting, call.name)
        if mirrored is not None:
            return kept_tags(mirrored, page.after, page.most + 1)
        repository = queries.require_to_pull(call.acting, call.name)
        return queries.within(repository, lambda: queries.tags(repository, page.after, page.most + 1))

    found = await call.database(read_tags)
    body = {"name": call.name, "tags": found[: page.most]}
    return JSONResponse(body, headers=page.link(f"/v2/{call.name}/tags/list", found))


async def catalog(call: V2Call) -> Response:
    page = NamePage.asked(call.request)
    found = await call.database(lambda: queries.catalog(call.acting, page.after, page.most + 1))
    return JSONResponse({"repositories": found[: page.most]}, headers=page.link("/v2/_catalog", found))


async def referrers(call: V2Call) -> Response:
    digest = checked_digest(call.place.item)
    kind = call.request.query_params.get("artifactType", "")
    asked = NamePage.asked(call.request)
    page = NamePage(asked.after, min(asked.most, _MOST_REFERRERS))

    def read_referrers() -> list[images.Referrer]:
        if find_mirrored(call.acting, call.name) is not None:
            return []
        repository = queries.require_to_pull(call.acting, call.name, new=True)
        return queries.within(
            repository, lambda: queries.referrers(repository, digest, kind, page.after, page.most + 1)
        )

    found = await call.database(read_referrers)
    headers = {"oci-filters-applied": "artifactType"} if kind else {}
    more = {"artifactType": kind} if kind else {}
    headers |= page.link(f"/v2/{call.name}/referrers/{digest}", [each.digest for each in found], **more)
    return Response(images.referrers(found[: page.most]), headers=headers, media_type=images.OCI_INDEX)
