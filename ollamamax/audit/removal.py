"""The end of a whole chain, with the tenant that it was of: where it ended is signed, its subjects' keys are destroyed, and the owner of the tables drops it.

What runs all day may not delete a record, of whatever chain. So the records of a removed tenant stay, with nobody's name in them, until
`ollamamax prepare` or `ollamamax audit_prune` runs as the owner; the database's function for it wants the removal's record in the system's chain.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import connection, models, transaction
from django.utils import timezone

from ollamamax.audit import chain
from ollamamax.audit.actions import SYSTEM, lock
from ollamamax.audit.models import AuditRecord, ChainHead, LegalHold, SubjectKey
from ollamamax.audit.notes import signing_key
from ollamamax.audit.segments import Head

REMOVED = "tenant.delete"
"""The action of the record, in the system's chain, of which ``target_id`` is the chain that ended."""


def signed_head(name: str, folder: Path) -> dict[str, Any]:
    """Where a chain ends, for ever, signed by the key in ``folder``; number 0 for one that has no record. Queries: 1."""
    head = ChainHead.objects.filter(chain=name).first()
    told = {
        "chain": name,
        "seq": head.seq if head else 0,
        "hash": head.hash if head else chain.GENESIS,
        "at": chain.plain(timezone.now()),
    }
    key = signing_key(folder)
    signature = key.sign(chain.canonical(_signed(told))).hex()
    return {**told, "signed_by": key.public_key().public_bytes_raw().hex(), "signature": signature}


def removed_heads(keys: Collection[str]) -> dict[str, Head]:
    """Chain -> where it ended, of the tenants that were removed, where one of ``keys`` (hex) signed that. Queries: 1."""
    found = {}
    for detail in AuditRecord.objects.filter(chain=SYSTEM, action=REMOVED).values_list("detail", flat=True):
        told = detail.get("head")
        if isinstance(told, Mapping) and _is_genuine(told, keys):
            found[str(told["chain"])] = Head(int(told["seq"]), str(told["hash"]))
    return found


def without_removed(noted: Mapping[str, Head], keys: Collection[str]) -> dict[str, Head]:
    """The noted heads without those of chains that ended there and were dropped since: that they are gone is no tampering. Queries: 2."""
    ended = removed_heads(keys)
    there = set(ChainHead.objects.filter(chain__in=list(ended)).values_list("chain", flat=True))
    return {
        name: head
        for name, head in noted.items()
        if name in there
        or name not in ended
        or head.seq > ended[name].seq
        or (head.seq == ended[name].seq and head.hash != ended[name].hash)
    }


def destroy_subjects(name: str) -> None:
    """Nothing personal in the chain can be opened from now on. In a transaction that holds the chain's lock."""
    SubjectKey.objects.filter(chain=name).delete()


def drop_removed() -> dict[str, int]:
    """As the owner of the tables: the chains of removed tenants, with all that is kept for them; chain -> how many records that were.

    One under legal hold stays. Safe to repeat. Raises `ProgrammingError` for a user that may not.
    """
    ended = AuditRecord.objects.filter(chain=SYSTEM, action=REMOVED).values("target_id")
    held = LegalHold.objects.filter(chain=models.OuterRef("chain"), released_at=None)
    names = ChainHead.objects.filter(models.Q(chain__in=ended), ~models.Exists(held)).values_list("chain", flat=True)
    return {name: _drop(name) for name in sorted(names)}


def _drop(name: str) -> int:
    """Whole or not at all: half a chain would look like one that was cut."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        lock(name)
        cursor.execute("SELECT audit_drop_chain(%s)", [name])
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def _signed(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: told[name] for name in ("chain", "seq", "hash", "at")} | {"removed": True}


def _is_genuine(told: Mapping[str, Any], keys: Collection[str]) -> bool:
    """Pure."""
    try:
        if told["signed_by"] not in keys:
            return False
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(told["signed_by"]))
        public.verify(bytes.fromhex(told["signature"]), chain.canonical(_signed(told)))
    except (InvalidSignature, ValueError, TypeError, KeyError):
        return False
    return True
