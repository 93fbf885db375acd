"""What ended long ago is removed, of every kind, a slice at a time; what did not, or is still needed, stays; and the audit trail tells of it."""

from __future__ import annotations

import datetime
import hashlib
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from cluster.models import JoinToken
from models_registry.models import Job
from ollamamax.audit.models import AuditRecord
from ollamamax.batches.models import Batch, File
from ollamamax.identity.actions import retention
from ollamamax.identity.models import ApiKey, Invitation, Role
from ollamamax.identity.retention import ENDINGS
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.ids import new_id
from tests.cast import Person

pytestmark = pytest.mark.django_db
DAY = datetime.timedelta(days=1)
KEPT = 90


def identifier() -> str:
    return new_id()[:16].upper()


def digest() -> str:
    return hashlib.sha256(new_id().encode()).hexdigest()


def key(owner: Person, **fields: Any) -> ApiKey:
    return ApiKey.objects.create(
        tenant=owner.tenant, name=new_id(), identifier=identifier(), secret_hash=digest(), **fields
    )


def token(owner: Person, **fields: Any) -> JoinToken:
    given = {"max_uses": 1, "expires_at": timezone.now() + DAY, "identifier": identifier(), "secret_hash": digest()}
    return JoinToken.objects.create(tenant=owner.tenant, **given | fields)


def job(owner: Person, **fields: Any) -> Job:
    given = {"kind": "pull", "model": "m", "request": {}, "fingerprint": digest(), "actor_kind": "key", "actor_id": "a"}
    return Job.objects.create(tenant=owner.tenant, actor_name="n", **given | fields)


def file(owner: Person, made: datetime.datetime | None = None) -> File:
    found = File.objects.create(tenant=owner.tenant, purpose="batch", name="f", size=1, sha256=digest())
    File.objects.filter(pk=found.pk).update(created_at=made or timezone.now())
    return found


def batch(owner: Person, **fields: Any) -> Batch:
    given = {
        "endpoint": "/v1/embeddings",
        "completion_window": "24h",
        "expires_at": timezone.now(),
        "input_file": uuid.uuid4(),
    }
    return Batch.objects.create(tenant=owner.tenant, **{"key": key(owner)} | given | fields)


def session(owner: Person, **fields: Any) -> Session:
    return Session.objects.create(session_key=new_id(), session_data="", **fields)


def invitation(owner: Person, expires_at: datetime.datetime) -> Invitation:
    return Invitation.objects.create(
        tenant=owner.tenant,
        email=f"{new_id()}@example.com",
        role=Role.objects.get(tenant=None, slug="member"),
        token_hash=digest(),
        expires_at=expires_at,
    )


TABLE: dict[str, tuple[Callable[[Person, datetime.datetime], list[Any]], Callable[[Person], list[Any]]]] = {
    "key": (
        lambda owner, at: [key(owner, revoked_at=at), key(owner, expires_at=at)],
        lambda owner: [key(owner), key(owner, expires_at=timezone.now() + DAY)],
    ),
    "invitation": (
        lambda owner, at: [invitation(owner, at)],
        lambda owner: [invitation(owner, timezone.now() + DAY)],
    ),
    "join_token": (
        lambda owner, at: [token(owner, expires_at=at), token(owner, revoked_at=at), token(owner, uses=1, expires_at=at)],
        lambda owner: [token(owner), token(owner, uses=1)],
    ),
    "job": (
        lambda owner, at: [job(owner, state=state, finished_at=at) for state in ("done", "failed", "cancelled")],
        lambda owner: [job(owner), job(owner, state="running")],
    ),
    "batch": (
        lambda owner, at: [
            batch(owner, status=status, **{f"{status}_at": at}) for status in ("completed", "failed", "expired", "cancelled")
        ],
        lambda owner: [batch(owner), batch(owner, status="cancelling", cancelling_at=timezone.now() - 400 * DAY)],
    ),
    "file": (
        lambda owner, at: [file(owner, at)],
        lambda owner: [file(owner)],
    ),
    "": (
        lambda owner, at: [session(owner, expire_date=at)],
        lambda owner: [session(owner, expire_date=timezone.now() + DAY)],
    ),
}  # fmt: skip
"""Of each noun: rows that ended then, and rows that did not end."""


def left(rows: list[Any]) -> list[Any]:
    return [row for row in rows if type(row)._base_manager.filter(pk=row.pk).exists()]


def test_every_kind_that_ends_is_in_the_table() -> None:
    assert {ending.noun for ending in ENDINGS} == set(TABLE)


@pytest.mark.parametrize("noun", TABLE, ids=lambda noun: noun or "session")
def test_what_ended_long_ago_goes_and_all_else_stays(noun: str, owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SLICE", 2)
    ended, unended = TABLE[noun]
    with every_tenant():
        old = [row for _ in range(3) for row in ended(owner, timezone.now() - (KEPT + 1) * DAY)]
        stays = [*ended(owner, timezone.now() - (KEPT - 1) * DAY), *unended(owner)]
        retention.remove_ended()
        assert len(old) - len(left(old)) == min(len(old), 2 * retention.SLICES), "not more at a time"
        retention.remove_ended()
        assert left(old) == []
        assert left(stays) == stays
    told = AuditRecord.objects.filter(action=f"{noun}.forget", chain=owner.tenant.id.hex)
    assert sum(each.detail["removed"] for each in told) == (len(old) if noun else 0)
    assert all((each.actor_kind, each.actor_id) == ("system", "retention") for each in told)


def test_what_something_else_needs_stays_until_that_goes(owner: Person) -> None:
    long_ago = timezone.now() - (KEPT + 1) * DAY
    with every_tenant():
        gone = key(owner, revoked_at=long_ago)
        given = file(owner, long_ago)
        needing = batch(owner, key=gone, input_file=given.id)
        retention.remove_ended()
        assert left([gone, given, needing]) == [gone, given, needing]
        Batch.objects.filter(pk=needing.pk).update(status="completed", completed_at=long_ago)
        retention.remove_ended()
        retention.remove_ended()
        assert left([gone, given, needing]) == []
