"""What the control plane tells a node of where the bytes of a blob are, so that nodes of a region can have them of each other.

A blob is cut into pieces of one size, each known by its SHA-256: a node checks every piece as it comes, whoever sent it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ollamamax.contract.bounds import Count, Digest, Id

LEAST_PIECE = 1 << 20
MOST_PIECES = 8192
"""A list of their hashes has 256 KiB at most."""
HASH_BYTES = 32
MOST_PEERS = 256
MOST_SOURCE_BYTES = 1 << 20

PeerHost = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?\Z")]
PeerPort = Annotated[int, Meta(ge=1024, le=65535)]


def piece_size(size: int) -> int:
    """Of a blob with ``size`` bytes: a power of two of a MiB or more, so that there are `MOST_PIECES` at most."""
    found = LEAST_PIECE
    while found * MOST_PIECES < size:
        found *= 2
    return found


class PeerPlace(msgspec.Struct, frozen=True):
    """Where other nodes reach a node that lets them have bytes."""

    address: PeerHost
    port: PeerPort


class BlobPeer(msgspec.Struct):
    """A node that has the blob, or is to have it; ``ticket`` lets this node ask it for a while."""

    node: Id
    address: PeerHost
    port: PeerPort
    ticket: Annotated[str, Meta(max_length=1024)]
    whole: bool = False


class BlobSource(msgspec.Struct, omit_defaults=True):
    """``hashes`` are those of all pieces in their order, 32 bytes each; empty while the control plane does not know them yet (``soon``) or does not tell."""

    size: Count
    piece: Count = LEAST_PIECE
    hashes: Annotated[bytes, Meta(max_length=MOST_PIECES * HASH_BYTES)] = b""
    soon: bool = False
    peers: Annotated[list[BlobPeer], Meta(max_length=MOST_PEERS)] = []
    rate: Count | None = None
    """Bytes a second that the node takes of the version at most, from wherever they come."""
    region_rate: Count | None = None
    """Bytes a second that all nodes of its region take together; for each of them it needs a `TransferLeave`."""


class TransferLeave(msgspec.Struct):
    """So many bytes may come after ``wait`` seconds; none where others of the region come first, and it asks again then."""

    bytes: Count
    wait: Annotated[float, Meta(ge=0.0, le=60.0)]


class PeerCertificate(msgspec.Struct):
    """What a node shows to others: a key and its certificate by the installation's authority, all PEM, and what tickets for it are sealed with."""

    key: str
    certificate: str
    authority: str
    ticket_key: bytes
    seconds: Annotated[float, Meta(ge=60.0)]
    """After so long it wants a new one."""


class PeerTicket(msgspec.Struct):
    """That ``asking`` may have pieces of ``digest`` from ``giving``, until ``until`` (Unix seconds by the control plane's clock)."""

    asking: Id
    giving: Id
    digest: Digest
    until: float


def peer_name(node: str) -> str:
    """The name in a node's certificate."""
    return f"{node}.peer.ollamamax.internal"
