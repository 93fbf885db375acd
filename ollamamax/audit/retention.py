"""Drops partitions of the audit trail that are older than it is kept, as the owner of the tables, each after signed checkpoints.

Every chain's records in a partition are verified first. The checkpoint of a chain, and a record in the chain that tells of it, stand in the
transaction that drops the partition: the first record that is kept follows the checkpoint's hash.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection, transaction
from django.utils import timezone

from ollamamax.audit import chain
from ollamamax.audit.actions import SYSTEM, Happening, append, lock
from ollamamax.audit.models import AuditRecord, Checkpoint, LegalHold
from ollamamax.audit.notes import UntrustedKey, public_key, signing_key, trusted_keys
from ollamamax.audit.segments import ChainProblem, Head
from ollamamax.audit.verify import checkpoint_of
from ollamamax.kernel.principal import system

_BOUND = re.compile(r"FOR VALUES FROM \('([^']+)'\) TO \('([^']+)'\)")


@dataclass(frozen=True)
class TrailPart:
    """A partition: records from ``since`` on and before ``until``."""

    name: str
    since: datetime.datetime
    until: datetime.datetime


@dataclass(frozen=True)
class Dropped:
    """What became of a partition that is old enough: ``kept_for`` says why it stays, and is empty where it was dropped."""

    part: str
    records: int
    chains: int
    kept_for: str = ""


def make_partitions() -> int:
    """For this month and the 3 to come; how many were new. Queries: 1."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT audit_make_partitions()")
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def parts() -> list[TrailPart]:
    """The oldest first; what lies in none is not among them. Queries: 1."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT part.relname, pg_get_expr(part.relpartbound, part.oid) FROM pg_inherits"
            " JOIN pg_class AS part ON part.oid = inhrelid WHERE inhparent = 'audit_auditrecord'::regclass ORDER BY 1"
        )
        rows = cursor.fetchall()
    found = []
    for name, bound in rows:
        ends = _BOUND.fullmatch(bound)
        if ends is not None:
            found.append(TrailPart(name, *(datetime.datetime.fromisoformat(each) for each in ends.groups())))
    return sorted(found, key=lambda each: each.since)


def drop_expired(days: int, folder: Path) -> list[Dropped]:
    """As the owner: drop what ended more than ``days`` ago, the oldest partition first; one that must stay keeps all after it.

    ``folder`` holds the key that signs. Raises `ProgrammingError` for a user that may not, and `UntrustedKey` where nobody would
    believe what the key signs.
    """
    done: list[Dropped] = []
    trusted = trusted_keys(folder)
    before = timezone.now() - datetime.timedelta(days=days)
    for part in parts():
        if part.until > before:
            break
        if public_key(folder) not in trusted:
            raise UntrustedKey(
                f"No key that is trusted signs here: drop the audit trail where {folder} is the controller's, or name its key in OLLAMAMAX_AUDIT_KEYS."
            )
        done.append(_drop(part, signing_key(folder), trusted))
        if done[-1].kept_for:
            break
    return done


def _drop(part: TrailPart, key: Ed25519PrivateKey, trusted: Collection[str]) -> Dropped:
    with transaction.atomic(durable=True):
        within = AuditRecord.objects.filter(at__gte=part.since, at__lt=part.until)
        names = sorted(within.order_by().values_list("chain", flat=True).distinct())
        # All in one order, and that of the system last: each is told of it.
        for name in [*(each for each in names if each != SYSTEM), SYSTEM]:
            lock(name)
        held = LegalHold.objects.filter(chain__in=names, released_at=None).count()
        if held:
            return Dropped(part.name, within.count(), len(names), f"{held} legal holds")
        records = 0
        made: list[Checkpoint] = []
        for name in names:
            head, problem = _last(name, part, trusted)
            if problem is not None:
                return Dropped(part.name, within.count(), len(names), f"it does not verify: {problem}")
            begun = checkpoint_of(name, trusted)
            records += head.seq - (begun.seq if begun else 0)
            point = Checkpoint(chain=name, seq=head.seq, hash=head.hash, at=timezone.now(), partition=part.name)
            point.key = key.public_key().public_bytes_raw().hex()
            point.signature = key.sign(chain.canonical(point.signed())).hex()
            made.append(point)
        Checkpoint.objects.bulk_create(made)
        for point in made:
            told = {"partition": part.name, "until": point.seq, "hash": point.hash, "signature": point.signature}
            append(point.chain, [Happening(system("retention"), "audit.drop_partition", "audit", part.name, told)])
        if SYSTEM not in names:
            told = {"partition": part.name, "records": records, "chains": len(names)}
            append(SYSTEM, [Happening(system("retention"), "audit.drop_partition", "audit", part.name, told)])
        with connection.cursor() as cursor:
            cursor.execute("SELECT audit_drop_partition(%s)", [part.name])
    return Dropped(part.name, records, len(names))


def _last(name: str, part: TrailPart, trusted: Collection[str]) -> tuple[Head, ChainProblem | None]:
    """The last record of a chain in a partition that all before it are dropped of already, and what is wrong with it."""
    head = checkpoint_of(name, trusted) or Head(0, chain.GENESIS)
    for row in _rows(name, part):
        if row["seq"] != head.seq + 1 or row["prev_hash"] != head.hash:
            return head, ChainProblem(name, head.seq + 1, "missing, moved or inserted")
        if chain.digest_of_row(row) != row["hash"]:
            return head, ChainProblem(name, row["seq"], "altered: its content does not have its hash")
        head = Head(row["seq"], row["hash"])
    return head, None


def _rows(name: str, part: TrailPart) -> Iterator[dict[str, object]]:
    rows = AuditRecord.objects.filter(chain=name, at__gte=part.since, at__lt=part.until).order_by("seq", "id")
    yield from rows.values(*chain.FIELDS, "hash").iterator(chunk_size=1000)
