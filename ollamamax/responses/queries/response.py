"""Reads of responses that are kept."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import InvalidRequest, NotFound, TooLarge
from ollamamax.responses.models import ConversationItem, KeptResponse
from ollamamax.responses.models.response import MOST_EARLIER
from ollamamax.responses.names import response_name, response_of_item
from ollamamax.responses.sealed import opened


@dataclass(frozen=True)
class History:
    """What a response goes on from: the responses, the oldest first, and all their items."""

    earlier: list[uuid.UUID] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)


def get_response(tenant: str, response_id: uuid.UUID | None) -> KeptResponse:
    """A response of the tenant. Raises `NotFound`."""
    with tenant_scope(tenant):
        found = KeptResponse.objects.filter(pk=response_id).first() if response_id else None
    if found is None or found.expires_at <= timezone.now():
        raise NotFound("There is no such response: it was never kept, it was deleted, or its time is over.")
    return found


def response_object(kept: KeptResponse) -> dict[str, Any]:
    """The response as its caller sees it now. Raises `CannotOpen`."""
    found: dict[str, Any] = opened(kept.object, kept.place("object"))
    ended_so = kept.status == KeptResponse.Status.FAILED and found["status"] != kept.status
    if ended_so or kept.is_abandoned(timezone.now()):
        return found | failed("The server that worked on this response has gone.")
    return found | {"status": kept.status}


def failed(message: str, code: str = "server_error") -> dict[str, Any]:
    """The fields of a response that came to nothing."""
    return {"status": KeptResponse.Status.FAILED.value, "error": {"code": code, "message": message}}


def input_items(kept: KeptResponse) -> list[dict[str, Any]]:
    """The items that its caller sent with it, in their order. Raises `CannotOpen`."""
    found: list[dict[str, Any]] = opened(kept.input, kept.place("input"))
    return found


def history(tenant: str, previous: uuid.UUID | None, *, most_bytes: int) -> History:
    """All that a response which goes on from ``previous`` has before it: two queries.

    Raises `NotFound`, `InvalidRequest` (not ended yet, one of the chain is gone, the chain is too long) and `TooLarge`.
    """
    last = get_response(tenant, previous)
    if last.status not in {KeptResponse.Status.COMPLETED, KeptResponse.Status.INCOMPLETE}:
        raise InvalidRequest(
            f"The response {last} has the status '{response_object(last)['status']}': nothing can go on from it.",
            param="previous_response_id",
        )
    if len(last.earlier) >= MOST_EARLIER:
        raise InvalidRequest(
            f"No more than {MOST_EARLIER} responses go on from each other.", param="previous_response_id"
        )
    with tenant_scope(tenant):
        before = {each.id: each for each in KeptResponse.objects.filter(pk__in=last.earlier)} if last.earlier else {}
    gone = [each for each in last.earlier if each not in before]
    if gone:
        raise InvalidRequest(
            f"The response {response_name(gone[0])}, from which this conversation went on, was deleted or its time is over.",
            param="previous_response_id",
        )
    chain = [before[each] for each in last.earlier] + [last]
    if sum(each.size for each in chain) > most_bytes:
        raise TooLarge(f"What came before is more than the {most_bytes} bytes that one request may have.")
    items = [item for each in chain for item in (*input_items(each), *_output(each))]
    return History([each.id for each in chain], items)


def output_items(tenant: str, names: Collection[str]) -> dict[str, dict[str, Any]]:
    """Items of the tenant's answers by their ids, in which the response's own id stands. One query."""
    responses = {key for name in names if (key := response_of_item(name)) is not None}
    with tenant_scope(tenant):
        kept = list(KeptResponse.objects.filter(pk__in=responses, expires_at__gt=timezone.now()))
    return {item["id"]: item for each in kept for item in _output(each) if item["id"] in names}


def stored_bytes(tenant: str) -> int:
    """What all responses and conversations of the tenant take, sealed."""
    with tenant_scope(tenant):
        kept = KeptResponse.objects.aggregate(all=Sum("size"))["all"] or 0
        return int(kept + (ConversationItem.objects.aggregate(all=Sum("size"))["all"] or 0))


def held_response(response_id: uuid.UUID, runner: str) -> KeptResponse | None:
    """The response with its key, if this runner still holds it."""
    with every_tenant():
        return KeptResponse.objects.select_related("key").filter(pk=response_id, runner=runner).first()


def _output(kept: KeptResponse) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = opened(kept.object, kept.place("object"))["output"]
    return found
