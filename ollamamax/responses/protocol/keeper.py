"""Keeper: what the gateway asks of Postgres for responses that are kept (`ollamamax.gateway.openai.keeping`)."""

from __future__ import annotations

import asyncio
import datetime
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from ollamamax import logs
from ollamamax.bus.database import in_database
from ollamamax.gateway.call import Call
from ollamamax.gateway.openai.keeping import Ended, Item, Recalled
from ollamamax.kernel.errors import InvalidRequest, NotFound, TooLarge, Unavailable
from ollamamax.kernel.ids import uuid7
from ollamamax.responses.actions.response import Keep, begin_response, finish_response
from ollamamax.responses.items import listed, named
from ollamamax.responses.models import KeptResponse
from ollamamax.responses.names import CONVERSATION, RESPONSE, id_of
from ollamamax.responses.queries.conversation import items_of
from ollamamax.responses.queries.response import history, output_items, stored_bytes

SUM_LIFETIME = 30.0
"""Seconds for which a tenant's sum of bytes is believed; what this process adds to it meanwhile is counted."""
END_PATIENCE = 20.0
"""Seconds for which the end of an answer waits for a database that is away."""
LEASE_MARGIN = 60.0
"""Seconds beyond its deadline after which a response that has no end has lost its gateway."""
_log = logs.get(__name__)


@dataclass(frozen=True)
class _Place:
    earlier: list[uuid.UUID] = field(default_factory=list)
    conversation: uuid.UUID | None = None


class Keeper:
    """``most_body`` and ``most_bytes`` bound what one request recalls and what a tenant keeps, in bytes; ``deadline`` is in seconds."""

    def __init__(self, *, days: int, deadline: float, most_body: int, most_bytes: int) -> None:
        self._lifetime = datetime.timedelta(days=days)
        self._lease = datetime.timedelta(seconds=deadline + LEASE_MARGIN)
        self._most_body = most_body
        self._most_bytes = most_bytes
        self._sums: dict[str, tuple[float, int]] = {}

    async def take_room(self, tenant: str, size: int) -> None:
        now = time.monotonic()
        asked, total = self._sums.get(tenant, (-SUM_LIFETIME, 0))
        if now - asked >= SUM_LIFETIME:
            asked, total = now, await in_database(stored_bytes, tenant)
            self._sums[tenant] = (asked, total)
        if total > self._most_bytes:
            raise TooLarge(
                f"Your kept responses and conversations exceed the {self._most_bytes} bytes allowed; delete some, or ask "
                "with 'store': false."
            )
        self._grew(tenant, size)

    def _grew(self, tenant: str, size: int) -> None:
        asked, total = self._sums[tenant]
        self._sums[tenant] = (asked, total + size)

    async def recall(self, call: Call, previous: str | None, conversation: str | None) -> Recalled:
        tenant = call.principal.tenant or ""
        if previous is not None and conversation is not None:
            raise InvalidRequest(
                "'previous_response_id' and 'conversation' cannot be used together.", param="conversation"
            )
        if previous is not None:
            try:
                found = await in_database(history, tenant, id_of(previous, RESPONSE), most_bytes=self._most_body)
            except NotFound as error:
                raise NotFound(f"{error.message} ('{previous[:80]}')", param="previous_response_id") from None
            return Recalled(found.items, _Place(earlier=found.earlier))
        if conversation is not None:
            key = id_of(conversation, CONVERSATION)
            try:
                items = await in_database(items_of, tenant, key, most_bytes=self._most_body)
            except NotFound as error:
                raise NotFound(error.message, param="conversation") from None
            return Recalled(items, _Place(conversation=key))
        return Recalled([], _Place())

    async def referred(self, call: Call, names: list[str]) -> dict[str, Item]:
        found: dict[str, Item] = await in_database(output_items, call.principal.tenant or "", set(names))
        return found

    async def begin(
        self, call: Call, recalled: Recalled, response: Item, given: str | list[Item], request: Item | None = None
    ) -> None:
        tenant = call.principal.tenant or ""
        await self.take_room(tenant, 0)
        keep = Keep(
            tenant=uuid.UUID(tenant),
            key=uuid.UUID(call.principal.id),
            id=uuid.UUID(call.id),
            object=response,
            input=named(listed(given), uuid7),
            earlier=recalled.place.earlier,
            conversation=recalled.place.conversation,
            request=request,
        )
        self._grew(tenant, await in_database(begin_response, keep, lifetime=self._lifetime, lease=self._lease))

    async def end(self, call: Call, status: Ended, response: Item) -> None:
        tenant, response_id = uuid.UUID(call.principal.tenant or ""), uuid.UUID(call.id)
        until = time.monotonic() + END_PATIENCE
        while True:
            try:
                await in_database(finish_response, tenant, response_id, KeptResponse.Status(status), response)
            except Unavailable:
                if time.monotonic() > until:
                    raise
                _log.warning("response_waits_for_postgres", response=call.id)
                await asyncio.sleep(0.5)
            else:
                return


def metadata_of(given: Any) -> dict[str, str]:
    """Up to 16 pairs of short text. Raises `InvalidRequest`."""
    if given is None:
        return {}
    good = (
        isinstance(given, dict)
        and len(given) <= 16
        and all(
            isinstance(k, str) and isinstance(v, str) and len(k) <= 64 and len(v) <= 512 and "\0" not in k + v
            for k, v in given.items()
        )
    )
    if not good:
        raise InvalidRequest(
            "'metadata' holds up to 16 pairs, with keys of up to 64 and values of up to 512 characters.",
            param="metadata",
        )
    found: dict[str, str] = given
    return found
