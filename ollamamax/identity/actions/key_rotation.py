"""Rotates a key: it gets a new text, and the one before works on for a while, so that programs can be told of it one by one."""

from __future__ import annotations

import datetime
import uuid

from django.db import transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity import directory
from ollamamax.identity.key_bounds import require_no_more
from ollamamax.identity.keys import make_key
from ollamamax.identity.models import ApiKey
from ollamamax.identity.queries import key as queries
from ollamamax.identity.rights import require, require_unbounded
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal

MOST_OVERLAP = datetime.timedelta(days=30)


def rotate_key(*, acting: Principal, key_id: uuid.UUID, overlap: datetime.timedelta) -> tuple[ApiKey, str]:
    """Give a key another text, and return it with that, which is not kept. What it may do, its limits and what it used stay.

    The text before works for ``overlap`` more, and one before that no longer. Who may not manage members rotates their own keys only.
    The new text is shown, so who rotates the key of somebody else may do all that it may; a key rotates none that is more than itself.
    Raises `Forbidden`, `NotFound` also for keys of others, `InvalidRequest`, `Conflict` for a key that was revoked, has expired or has no secret, and
    `Unavailable` while Redis takes no writes.
    """
    require(acting, "key.manage")
    require_unbounded(acting)
    if acting.tenant is None:
        raise NotFound("There is no such key.")
    if not datetime.timedelta(0) <= overlap <= MOST_OVERLAP:
        raise InvalidRequest(f"An overlap has at most {MOST_OVERLAP.days} days.", param="overlap_seconds")
    made = make_key()
    directory.require_writable()
    with tenant_scope(acting.tenant), transaction.atomic(durable=True):
        key = queries.lock_key(acting, key_id)
        now = timezone.now()
        if not key.is_usable(now):
            raise Conflict("This key was revoked or has expired.")
        if not key.has_secret:
            raise Conflict("This is a workload's key, whose secret nobody has: there is nothing to rotate.")
        queries.require_to_see(acting, key)
        require_no_more(queries.acting_key(acting), key)
        directory.publish_key_on_commit(key)  # also the text before the one that goes now
        key.previous_identifier, key.previous_hash = key.identifier, key.secret_hash
        key.previous_until, key.rotated_at = now + overlap, now
        key.identifier, key.secret_hash = made.identifier, made.secret_hash
        key.save(
            update_fields=[
                *("previous_identifier", "previous_hash", "previous_until", "rotated_at"),
                *("identifier", "secret_hash"),
            ]
        )
        record(
            acting=acting,
            action="key.rotate",
            target_type="key",
            target_id=key.id,
            tenant=key.tenant_id,
            detail={
                "name": key.name,
                "identifier": key.identifier,
                "previous": key.previous_identifier,
                "previous_until": key.previous_until,
            },
        )
        directory.publish_key_on_commit(key)
    return key, made.text
