"""Where chains end, in a bucket that speaks S3's protocol: each object is signed and written once, and a bucket that keeps objects (Object Lock) lets nobody take it back.

Objects are named by the key that signs them, the day (UTC) and a number: `<public key>/<YYYYMMDD>/<number>`. The first of a day tells of every
chain, each further one of those that ended elsewhere since. So the first and the last of a day together say where every chain ended on it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.utils import timezone

from ollamamax.audit import chain
from ollamamax.audit.notes import NotesAltered, signing_key
from ollamamax.audit.segments import Head
from ollamamax.audit.verify import heads
from ollamamax.blobs.bucket import BucketStore

FORMAT = 1
_DIGITS = 6
_NAME = re.compile(rf"[0-9a-f]{{64}}/[0-9]{{8}}/[0-9]{{{_DIGITS}}}")


class PublishedHeads(msgspec.Struct, frozen=True):
    """One object. ``key`` (hex) is the public half of what signs all the rest."""

    format: int
    key: str
    day: str
    number: int
    at: datetime.datetime
    heads: dict[str, tuple[int, str]]
    signature: str

    def signed(self) -> bytes:
        told = {name: getattr(self, name) for name in self.__struct_fields__ if name != "signature"}
        return chain.canonical(told | {"heads": {name: list(head) for name, head in self.heads.items()}})


_decode = msgspec.json.Decoder(PublishedHeads).decode


def publish_heads(store: BucketStore, folder: Path) -> int:
    """Write one more object where chains end elsewhere than was published today, signed by the key in ``folder``; of how many chains that tells.

    Of two that do it at once one writes, and the other with its next call. Raises `Unavailable`, and `NotesAltered` for what is there and was
    not written so. Queries: 1; and up to 4 calls of the bucket.
    """
    key = signing_key(folder)
    public, now = key.public_key().public_bytes_raw().hex(), timezone.now()
    day = f"{now:%Y%m%d}"
    names = _numbered(f"{public}/{day}", store.listed(f"{public}/{day}"))
    ends = {name: (head.seq, head.hash) for name, head in heads()}
    first = _read(store, names[0]).heads if names else {}
    told = {**first, **(_read(store, names[-1]).heads if names else {})}
    if names and all(told.get(name) == end for name, end in ends.items()):
        return 0
    changed = {name: end for name, end in ends.items() if first.get(name) != end}
    made = PublishedHeads(FORMAT, public, day, len(names) + 1, now, changed, "")
    made = msgspec.structs.replace(made, signature=key.sign(made.signed()).hex())
    is_made = store.create(f"{public}/{day}/{made.number:0{_DIGITS}}", msgspec.json.encode(made))
    return len(changed) if is_made else 0


def published(store: BucketStore, keys: Collection[str]) -> tuple[dict[str, list[Head]], list[str]]:
    """Of each chain where it ended, as the first and the last object of each day say that one of ``keys`` (hex) signed; and whose other keys' objects
    there are, which count for nothing. Raises `Unavailable`, and `NotesAltered` for an object that is not as it was written, or lacks.
    """
    found: dict[str, list[Head]] = {}
    others = []
    for key in store.folders(""):
        if key not in keys:
            others.append(key)
            continue
        for day in store.folders(key):
            names = _numbered(day, store.listed(day))
            for name in dict.fromkeys([names[0], names[-1]]) if names else []:
                for about, (seq, digest) in _read(store, name).heads.items():
                    found.setdefault(about, []).append(Head(seq, digest))
    return found, others


def _numbered(day: str, names: Iterator[str]) -> list[str]:
    """The objects of a day in their order. Raises `NotesAltered` where one lacks."""
    there = sorted(name for name in names if _NAME.fullmatch(name))
    for number, name in enumerate(there, 1):
        if name != f"{day}/{number:0{_DIGITS}}":
            raise NotesAltered(f"object {number} of {day} in the bucket is gone")
    return there


def _read(store: BucketStore, name: str) -> PublishedHeads:
    try:
        found = _decode(b"".join(store.open_range(name)))
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(found.key))
        public.verify(bytes.fromhex(found.signature), found.signed())
    except (InvalidSignature, ValueError, TypeError, msgspec.MsgspecError) as error:
        raise NotesAltered(f"the object {name} in the bucket was altered") from error
    if found.format != FORMAT or name != f"{found.key}/{found.day}/{found.number:0{_DIGITS}}":
        raise NotesAltered(f"the object {name} in the bucket is another one")
    return found


def last_of(every: dict[str, list[Head]]) -> dict[str, Head]:
    """Of each chain the last of its noted heads."""
    return {name: max(some, key=lambda head: head.seq) for name, some in every.items()}
