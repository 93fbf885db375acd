"""Checking the audit trail: every record, every chain, against hashes and heads, with no trust in the triggers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import connection, transaction

from ollamamax.audit import chain
from ollamamax.audit.models import AuditRecord, ChainHead, Checkpoint

UNTRUSTED = "its checkpoint is not signed by a key that is trusted here (OLLAMAMAX_AUDIT_KEYS)"


class Head(NamedTuple):
    """The end of a chain as it is, or as it was noted outside the database."""

    seq: int
    hash: str


class ChainProblem(NamedTuple):
    chain: str
    seq: int
    what: str

    def __str__(self) -> str:
        return f"chain {self.chain}, record {self.seq}: {self.what}"


def verify(noted: Mapping[str, Head] | None = None, keys: Collection[str] = ()) -> Iterator[ChainProblem]:
    """Every problem of every chain, in one snapshot of the database; memory does not grow with the trail.

    ``noted`` are heads written down earlier elsewhere: they show a chain that was rewritten or removed as a whole,
    together with its head, which nothing inside the database can show. ``keys`` (hex) are the public keys that are trusted
    to sign checkpoints (`ollamamax.audit.notes.trusted_keys`): a checkpoint by any other counts for nothing, whatever its row says.
    """
    noted = noted or {}
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        heads = {head.chain: Head(head.seq, head.hash) for head in ChainHead.objects.all()}
        names = set(AuditRecord.objects.order_by().values_list("chain", flat=True).distinct())
        begins = {}
        for row in Checkpoint.objects.order_by("seq"):
            if is_genuine(row, keys):
                begins[row.chain] = Head(row.seq, row.hash)
            else:
                yield ChainProblem(row.chain, row.seq, UNTRUSTED)
        for name in sorted(names | set(heads) | set(noted)):
            yield from _chain(name, begins.get(name), heads.get(name), noted.get(name))


def is_genuine(row: Checkpoint, keys: Collection[str]) -> bool:
    """Whether the checkpoint is signed by one of ``keys`` (hex): the one that its row names, which alone proves nothing. Pure."""
    if row.key not in keys:
        return False
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(row.key))
        public.verify(bytes.fromhex(row.signature), chain.canonical(row.signed()))
    except (InvalidSignature, ValueError):
        return False
    return True


def checkpoint_of(name: str, keys: Collection[str]) -> Head | None:
    """Up to where records of a chain were dropped, by the newest checkpoint that one of ``keys`` signed. Queries: 1."""
    for row in Checkpoint.objects.filter(chain=name).order_by("-seq"):
        if is_genuine(row, keys):
            return Head(row.seq, row.hash)
    return None


def untrusted_checkpoints(name: str, keys: Collection[str]) -> list[ChainProblem]:
    """A problem for each checkpoint of a chain that none of ``keys`` signed. Queries: 1."""
    rows = Checkpoint.objects.filter(chain=name).order_by("seq")
    return [ChainProblem(name, row.seq, UNTRUSTED) for row in rows if not is_genuine(row, keys)]


def heads() -> list[tuple[str, Head]]:
    """Where each chain ends now, to be noted outside the database."""
    return [(head.chain, Head(head.seq, head.hash)) for head in ChainHead.objects.order_by("chain")]


def _chain(name: str, begin: Head | None, head: Head | None, noted: Head | None) -> Iterator[ChainProblem]:
    expected, previous = (1, chain.GENESIS) if begin is None else (begin.seq + 1, begin.hash)
    fields = (*chain.FIELDS, "hash")
    rows = AuditRecord.objects.filter(chain=name).order_by("seq", "id").values(*fields)
    for row in rows.iterator(chunk_size=1000):
        seq = row["seq"]
        if seq > expected:
            yield ChainProblem(name, expected, f"missing, and every one up to {seq - 1}")
        elif seq < expected:
            yield ChainProblem(name, seq, "inserted: its number was taken already")
        if row["prev_hash"] != previous and seq == expected:
            yield ChainProblem(name, seq, "does not follow the record before it: moved, inserted or altered")
        if chain.digest_of_row(row) != row["hash"]:
            yield ChainProblem(name, seq, "altered: its content does not have its hash")
        if noted is not None and seq == noted.seq and row["hash"] != noted.hash:
            yield ChainProblem(name, seq, "is not the record that was noted outside the database")
        expected, previous = seq + 1, row["hash"]
    last = expected - 1
    if noted is not None and begin is not None and noted.seq == begin.seq and noted.hash != begin.hash:
        yield ChainProblem(name, begin.seq, "is not the record that was noted outside the database")
    if head is None:
        yield ChainProblem(name, last, "the chain's head is missing")
    elif (head.seq, head.hash) != (last, previous) and head.seq >= last:
        yield ChainProblem(name, last, f"is not the end: the head says {head.seq}, so the tail was cut off or altered")
    elif (head.seq, head.hash) != (last, previous):
        yield ChainProblem(name, last, f"was added behind the head, which says {head.seq}")
    if noted is not None and noted.seq > last:
        yield ChainProblem(name, last, f"is not the end: {noted.seq} was noted outside the database")
