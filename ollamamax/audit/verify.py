"""Checking the audit trail: every record, every chain, against hashes and heads, with no trust in the triggers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import connection, transaction
from django.db.models import Max

from ollamamax.audit import chain
from ollamamax.audit.models import AuditRecord, ChainHead, Checkpoint
from ollamamax.audit.segments import LENGTH, ChainProblem, CheckedStretch, Head, Stretch, check, check_all, stretches

UNTRUSTED = "its checkpoint is not signed by a key that is trusted here (OLLAMAMAX_AUDIT_KEYS)"


def verify(
    noted: Mapping[str, Head] | None = None,
    keys: Collection[str] = (),
    *,
    earlier: Mapping[str, Collection[Head]] | None = None,
    processes: int = 1,
    length: int = LENGTH,
) -> Iterator[ChainProblem]:
    """Every problem of every chain, in one snapshot of the database; memory does not grow with the trail.

    ``noted`` are heads written down earlier elsewhere: they show a chain that was rewritten or removed as a whole,
    together with its head, which nothing inside the database can show; ``earlier`` ones, of the same chains, show it where it has grown
    and was noted again since. ``keys`` (hex) are the public keys that are trusted
    to sign checkpoints (`ollamamax.audit.notes.trusted_keys`): a checkpoint by any other counts for nothing, whatever its row says.
    Stretches of ``length`` records are checked by so many ``processes`` at once, or here where that is one or there is one stretch only. Of
    each stretch at most `segments.MOST_PROBLEMS` are told.
    """
    noted = noted or {}
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        heads = {head.chain: Head(head.seq, head.hash) for head in ChainHead.objects.all()}
        lasts = dict(AuditRecord.objects.order_by().values_list("chain").annotate(Max("seq")))
        begins = {}
        for row in Checkpoint.objects.order_by("seq"):
            if is_genuine(row, keys):
                begins[row.chain] = Head(row.seq, row.hash)
            else:
                yield ChainProblem(row.chain, row.seq, UNTRUSTED)
        wanted: list[Stretch] = []
        for name in sorted(set(lasts) | set(heads) | set(noted)):
            last = max(lasts.get(name, 0), heads[name].seq if name in heads else 0)
            origin = begins.get(name, Head(0, chain.GENESIS))
            known = [noted[name], *(earlier or {}).get(name, ())] if name in noted else []
            wanted += stretches(name, origin, last, known, length)
        for found in _checked(wanted, processes):
            yield from found.problems
            if found.stretch.is_last:
                name = found.stretch.chain
                yield from _ends(name, found.end, begins.get(name), heads.get(name), noted.get(name))


def _checked(wanted: list[Stretch], processes: int) -> Iterator[CheckedStretch]:
    with connection.cursor() as cursor:
        if processes > 1 and len(wanted) > 1:
            cursor.execute("SELECT pg_export_snapshot()")
            [snapshot] = cursor.fetchone() or [""]
            yield from check_all(wanted, connecting(), snapshot, min(processes, len(wanted)))
        else:
            for stretch in wanted:
                yield check(cursor, stretch)


def connecting() -> dict[str, Any]:
    """How this process is connected, for another one."""
    given = connection.get_connection_params()
    return {name: value for name, value in given.items() if isinstance(value, str | int)}


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


def _ends(name: str, end: Head, begin: Head | None, head: Head | None, noted: Head | None) -> Iterator[ChainProblem]:
    """What is wrong with where a chain ends. ``begin`` is the checkpoint that it goes on from."""
    last = end.seq
    if noted is not None and begin is not None and noted.seq == begin.seq and noted.hash != begin.hash:
        yield ChainProblem(name, begin.seq, "is not the record that was noted outside the database")
    if head is None:
        yield ChainProblem(name, last, "the chain's head is missing")
    elif head != end and head.seq >= last:
        yield ChainProblem(name, last, f"is not the end: the head says {head.seq}, so the tail was cut off or altered")
    elif head != end:
        yield ChainProblem(name, last, f"was added behind the head, which says {head.seq}")
    if noted is not None and noted.seq > last:
        yield ChainProblem(name, last, f"is not the end: {noted.seq} was noted outside the database")
