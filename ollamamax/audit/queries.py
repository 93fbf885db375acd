"""Reads of the audit trail: the records of one chain, and whether a part of it is as it was written."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from django.db import models
from django.db.models.functions import Cast

from ollamamax.audit import chain
from ollamamax.audit.models import AuditRecord, ChainHead, Checkpoint
from ollamamax.audit.personal import opened, subjects_named
from ollamamax.audit.segments import ChainProblem
from ollamamax.audit.verify import checkpoint_of, untrusted_checkpoints
from ollamamax.kernel.errors import NotFound

SEGMENT = 5_000
"""Records that are checked at once."""
MOST_PROBLEMS = 100
FIELDS = (*chain.FIELDS, "hash")


class Segment(NamedTuple):
    """Records ``begin`` to ``end`` of a chain, which has ``last`` in all; ``problems`` is empty where all is as it was written."""

    begin: int
    end: int
    last: int
    problems: list[ChainProblem]


def records(name: str) -> models.QuerySet[AuditRecord]:
    """Of one chain, the newest first."""
    return AuditRecord.objects.filter(chain=name).order_by("-seq")


def mentioning(name: str, found: models.QuerySet[AuditRecord], text: str) -> models.QuerySet[AuditRecord]:
    """Those of the records of chain ``name`` that have ``text`` in a person's name or address, the action, the target's id or the detail, in any case.

    What is personal is found by the names that the chain knows its subjects by. Queries: 1, besides what the caller makes of it.
    """
    return found.annotate(said=Cast("detail", models.TextField())).filter(
        by_person(name, text)
        | models.Q(action__icontains=text)
        | models.Q(target_id__icontains=text)
        | models.Q(said__icontains=text)
    )


def by_person(name: str, text: str) -> models.Q:
    """Records of the chain ``name`` that name a person who is called so, in part and in any case. Queries: 1."""
    found = models.Q(actor_name__icontains=text)
    subjects = subjects_named(name, text)
    if not subjects:
        return found
    keys = list(subjects)
    return found | models.Q(personal__actor__key__in=keys) | models.Q(personal__target__key__in=keys)


def by_actor(name: str, text: str) -> models.Q:
    """Records of the chain ``name`` whose actor is called so, in part and in any case. Queries: 1."""
    found = models.Q(actor_name__icontains=text)
    subjects = subjects_named(name, text)
    return found | models.Q(actor_id__in=sorted(set(subjects.values()))) if subjects else found


def get_record(name: str, seq: int) -> AuditRecord:
    """The record of a chain with this number. Raises `NotFound`."""
    found = AuditRecord.objects.filter(chain=name, seq=seq).first()
    if found is None:
        raise NotFound("There is no such record.")
    return opened([found])[0]


def head_numbers(chains: Collection[str]) -> dict[str, int]:
    """Chain -> number of its last record, of those that have any. One query."""
    return dict(ChainHead.objects.filter(chain__in=chains).values_list("chain", "seq"))


def checkpoints(name: str) -> models.QuerySet[Checkpoint]:
    """Of what was dropped of a chain, the newest first."""
    return Checkpoint.objects.filter(chain=name).order_by("-seq")


def records_between(name: str, after: int, last: int, target_type: str | None = None) -> models.QuerySet[AuditRecord]:
    """Of one chain those above number ``after`` and up to ``last``, the newest first; about one kind of target, where one is named."""
    found = records(name).filter(seq__gt=after, seq__lte=last)
    return found if target_type is None else found.filter(target_type=target_type)


def records_after(name: str, after: int) -> models.QuerySet[AuditRecord]:
    """Of one chain those above number ``after``, the oldest first."""
    return AuditRecord.objects.filter(chain=name, seq__gt=after).order_by("seq")


def verify_segment(name: str, begin: int, keys: Collection[str]) -> Segment:
    """Compute the hashes of `SEGMENT` records anew, from number ``begin`` on, and how each follows the one before.

    All segments together show what `verify.verify` shows of the chain, but for what was noted outside the database.
    ``keys`` are those that are trusted to sign checkpoints. Queries: 4.
    """
    head = ChainHead.objects.filter(chain=name).first()
    last = head.seq if head else 0
    dropped = checkpoint_of(name, keys)
    begin = begin if dropped is None else max(begin, dropped.seq + 1)
    rows = list(
        AuditRecord.objects.filter(chain=name, seq__gte=max(1, begin - 1), seq__lt=begin + SEGMENT)
        .order_by("seq", "id")
        .values(*FIELDS)
    )
    found = untrusted_checkpoints(name, keys)
    expected, previous = begin, chain.GENESIS
    if dropped is not None and begin == dropped.seq + 1:
        previous = dropped.hash
        rows = [row for row in rows if row["seq"] >= begin]
    elif begin > 1:
        before = next((row for row in rows if row["seq"] == begin - 1), None)
        previous = "" if before is None else before["hash"]
        rows = [row for row in rows if row["seq"] >= begin]
    for row in rows:
        seq = row["seq"]
        if seq > expected:
            found.append(ChainProblem(name, expected, f"missing, and every one up to {seq - 1}"))
        elif seq < expected:
            found.append(ChainProblem(name, seq, "inserted: its number was taken already"))
        if seq == expected and previous and row["prev_hash"] != previous:
            found.append(ChainProblem(name, seq, "does not follow the record before it: moved, inserted or altered"))
        if chain.digest_of_row(row) != row["hash"]:
            found.append(ChainProblem(name, seq, "altered: its content does not have its hash"))
        expected, previous = seq + 1, row["hash"]
    end = min(last, begin + SEGMENT - 1) if last else 0
    if expected <= end:
        found.append(ChainProblem(name, expected, f"missing, and every one up to {end}"))
    elif head is not None and end == last and rows and previous != head.hash:
        found.append(ChainProblem(name, last, "is not the end: the head has another hash"))
    if head is None and rows:
        found.append(ChainProblem(name, expected - 1, "the chain's head is missing"))
    return Segment(begin, end, last, found[:MOST_PROBLEMS])
