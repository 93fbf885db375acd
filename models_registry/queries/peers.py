"""Which other nodes a node may have a blob of: those of its tenant and region that are to have it, and say where they listen."""

from __future__ import annotations

import hashlib
import time
import uuid

from redis.exceptions import RedisError

from cluster.models import Node
from cluster.telemetry import read_states
from models_registry.models import BlobPieces, Replica
from models_registry.peers.authority import PeerAuthority
from ollamamax import logs
from ollamamax.bus import regions
from ollamamax.contract.peers import LEAST_PIECE, MOST_PEERS, BlobPeer, BlobSource
from ollamamax.contract.tables import PublishedBlob
from ollamamax.identity.scope import every_tenant

_log = logs.get(__name__)


def source_of(
    authority: PeerAuthority, node_id: uuid.UUID, digest: str, known: PublishedBlob, *, with_hashes: bool
) -> BlobSource:
    """Whom the node may ask, each with a ticket; nobody where it does not listen itself. The caller knows that it may have the blob. Queries: 3."""
    with every_tenant():
        pieces = BlobPieces.objects.filter(blob=digest).values_list("piece", "hashes").first()
        node = Node.objects.filter(pk=node_id).only("tenant_id", "region").first()
        peers = [] if node is None or pieces is None else _peers(authority, node, digest)
    if pieces is None:
        return BlobSource(known.size, LEAST_PIECE, soon=True, rate=known.rate, region_rate=known.region_rate)
    hashes = bytes(pieces[1]) if with_hashes else b""
    return BlobSource(known.size, pieces[0], hashes, peers=peers, rate=known.rate, region_rate=known.region_rate)


def _peers(authority: PeerAuthority, node: Node, digest: str) -> list[BlobPeer]:
    rows = Replica.objects.filter(
        tenant_id=node.tenant_id,
        node__tenant_id=node.tenant_id,
        node__region=node.region,
        version__blobs=digest,
        paused=False,
    ).exclude(desired=Replica.Desired.ABSENT)
    whole: dict[str, bool] = {}
    for other, state in rows.values_list("node_id", "state"):
        whole[other.hex] = whole.get(other.hex, False) or state == Replica.State.READY
    # The same ones for all who ask, also where there are more.
    some = sorted(whole, key=lambda each: hashlib.blake2b(f"{digest}/{each}".encode(), digest_size=8).digest())
    chosen = some[:MOST_PEERS]
    try:
        states = read_states(regions.own().client, [node.id.hex, *(each for each in chosen if each != node.id.hex)])
    except RedisError as error:
        _log.warning("peers_unknown", error=str(error))
        return []
    own = states.get(node.id.hex)
    if own is None or own.peer is None:
        return []
    now = time.time()
    return [
        BlobPeer(
            other,
            place.address,
            place.port,
            authority.ticket(asking=node.id.hex, giving=other, digest=digest, now=now),
            whole[other],
        )
        for other in chosen
        if other != node.id.hex and other in states and (place := states[other].peer) is not None
    ]
