"""Checking the audit trail: every record, every chain, against hashes and heads, with no trust in the triggers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from django.db import connection, transaction

from ollamamax.audit import chain
from ollamamax.audit.models import AuditRecord, ChainHead


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


def verify(noted: Mapping[str, Head] | None = None) -> Iterator[ChainProblem]:
    """Every problem of every chain, in one snapshot of the database; memory does not grow with the trail.

    ``noted`` are heads written down earlier elsewhere: they show a chain that was rewritten or removed as a whole,
    together with its head, which nothing inside the database can show.
    """
    noted = noted or {}
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        heads = {head.chain: Head(head.seq, head.hash) for head in ChainHead.objects.all()}
        names = set(AuditRecord.objects.values_list("chain", flat=True).distinct())
        for name in sorted(names | set(heads) | set(noted)):
            yield from _chain(name, heads.get(name), noted.get(name))


def heads() -> list[tuple[str, Head]]:
    """Where each chain ends now, to be noted outside the database."""
    return [(head.chain, Head(head.seq, head.hash)) for head in ChainHead.objects.order_by("chain")]


def _chain(name: str, head: Head | None, noted: Head | None) -> Iterator[ChainProblem]:
    expected, previous = 1, chain.GENESIS
    fields = (*chain.FIELDS, "hash")
    for row in AuditRecord.objects.filter(chain=name).order_by("seq", "id").values(*fields).iterator(chunk_size=1000):
        seq = row["seq"]
        if seq > expected:
            yield ChainProblem(name, expected, f"missing, and every one up to {seq - 1}")
        elif seq < expected:
            yield ChainProblem(name, seq, "inserted: its number was taken already")
        if row["prev_hash"] != previous and seq == expected:
            yield ChainProblem(name, seq, "does not follow the record before it: moved, inserted or altered")
        if chain.digest(row) != row["hash"]:
            yield ChainProblem(name, seq, "altered: its content does not have its hash")
        if noted is not None and seq == noted.seq and row["hash"] != noted.hash:
            yield ChainProblem(name, seq, "is not the record that was noted outside the database")
        expected, previous = seq + 1, row["hash"]
    last = expected - 1
    if head is None:
        yield ChainProblem(name, last, "the chain's head is missing")
    elif (head.seq, head.hash) != (last, previous) and head.seq >= last:
        yield ChainProblem(name, last, f"is not the end: the head says {head.seq}, so the tail was cut off or altered")
    elif (head.seq, head.hash) != (last, previous):
        yield ChainProblem(name, last, f"was added behind the head, which says {head.seq}")
    if noted is not None and noted.seq > last:
        yield ChainProblem(name, last, f"is not the end: {noted.seq} was noted outside the database")
