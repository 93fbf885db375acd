"""OpenAI's ``/v1/batches`` (https://platform.openai.com/docs/api-reference/batch)."""

from __future__ import annotations

import uuid

import msgspec

from ollamamax.batches.actions.batch import cancel_batch, create_batch
from ollamamax.batches.models import Batch
from ollamamax.batches.names import BATCH, FILE, id_of
from ollamamax.batches.protocol.objects import batch_object, page_object
from ollamamax.batches.protocol.parameters import cursor, limit
from ollamamax.batches.queries.batch import get_batch, page_of_batches
from ollamamax.bus.database import in_database
from ollamamax.contract.fields import Fields, RefusedField
from ollamamax.gateway import http
from ollamamax.gateway.call import Call
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.service import Service
from ollamamax.kernel.errors import InvalidRequest

MOST_METADATA = 16


class BatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """``completion_window`` may be other spans than OpenAI's ``24h``: ``90m``, ``7d``."""

    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None


FIELDS = Fields(BatchRequest, refused={"output_expires_after": RefusedField("files stay until they are deleted")})


async def create(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    body = FIELDS.parse(await service.body(scope, receive), call.ignored, strict=call.notes.strict)
    _check_metadata(body.metadata or {})
    batch = await in_database(
        create_batch,
        acting=msgspec.structs.replace(call.principal, request=call.id),
        input_file=id_of(body.input_file_id, FILE),
        endpoint=body.endpoint,
        completion_window=body.completion_window,
        metadata=body.metadata,
    )
    await _answer(send, call, batch)


async def listed(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    batches, has_more = await in_database(
        page_of_batches,
        call.principal.tenant or "",
        after=cursor(scope, BATCH),
        limit=limit(scope, default=20, most=100),
    )
    rows = [batch_object(batch) for batch in batches]
    await http.respond(send, 200, page_object(rows, has_more=has_more), call.headers())


async def one(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    await _answer(send, call, await in_database(get_batch, call.principal.tenant or "", _id(scope)))


async def cancel(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    acting = msgspec.structs.replace(call.principal, request=call.id)
    await _answer(send, call, await in_database(cancel_batch, acting=acting, batch_id=_id(scope)))


async def _answer(send: Send, call: Call, batch: Batch) -> None:
    await http.respond(send, 200, http.encode(batch_object(batch)), call.headers())


def _id(scope: Scope) -> uuid.UUID | None:
    return id_of(scope["path"].removeprefix("/v1/batches/").removesuffix("/cancel"), BATCH)


def _check_metadata(metadata: dict[str, str]) -> None:
    if len(metadata) > MOST_METADATA or any(len(k) > 64 or len(v) > 512 for k, v in metadata.items()):
        raise InvalidRequest(
            "'metadata' holds up to 16 pairs, with keys of up to 64 and values of up to 512 characters.",
            param="metadata",
        )
    if any("\0" in text for pair in metadata.items() for text in pair):
        raise InvalidRequest("'metadata' holds no zero bytes.", param="metadata")
