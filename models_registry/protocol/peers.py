"""``GET /api/v1/blobs/certificate``, ``.../<digest>/source`` and ``.../<digest>/leave``: what a node needs to have blobs of other nodes, to let them have some, and to know when."""

from __future__ import annotations

import asyncio
import functools
import uuid

from django.conf import settings
from django.utils import timezone

from models_registry.actions.leave import leave_of_region
from models_registry.peers.authority import PeerAuthority
from models_registry.queries.peers import source_of
from ollamamax import contract
from ollamamax.bus.database import in_database
from ollamamax.contract.tables import PublishedBlob
from ollamamax.kernel.principal import Principal


@functools.lru_cache(2)
def _authority_of(secret: str) -> PeerAuthority:
    return PeerAuthority(secret)


async def certify(node: Principal) -> bytes:
    """A new key and certificate for the node, for three days."""
    return contract.encode_json(_authority_of(settings.SECRET_KEY).issue(uuid.UUID(node.id).hex, timezone.now()))


async def tell_source(node: Principal, digest: str, known: PublishedBlob, hashes: bool) -> bytes:
    """The caller knows that the node may have the blob."""
    authority, id_ = _authority_of(settings.SECRET_KEY), uuid.UUID(node.id)
    found = await in_database(lambda: source_of(authority, id_, digest, known, with_hashes=hashes))
    return contract.encode_json(found)


async def give_leave(node: Principal, region: str, count: int, rate: int) -> bytes:
    """Leave for the node to take so many bytes, as part of what its tenant's nodes of the region take together."""
    found = await asyncio.to_thread(leave_of_region, node.tenant or "", region, node.id, count, rate)
    return contract.encode_json(found)
