"""OpenAI's ``/v1/files``, for the files of batches (https://platform.openai.com/docs/api-reference/files)."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass

import msgspec

from ollamamax.batches.actions.file import create_file, delete_file
from ollamamax.batches.models import File
from ollamamax.batches.names import FILE, file_name, id_of
from ollamamax.batches.protocol.objects import file_object, page_object
from ollamamax.batches.protocol.parameters import choice, cursor, limit
from ollamamax.batches.protocol.upload import UploadedFile, receive_upload
from ollamamax.batches.queries.file import get_file, page_of_files
from ollamamax.blobs import reading
from ollamamax.blobs.store import Missing, Sources
from ollamamax.bus.database import in_database
from ollamamax.gateway import http
from ollamamax.gateway.call import Call
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.service import Service
from ollamamax.identity.bounds import sending
from ollamamax.kernel.errors import InvalidRequest, Unavailable, Unsupported
from ollamamax.kernel.ids import uuid7

MOST_LISTED = 10_000


@dataclass(frozen=True)
class Files:
    """``most_bytes`` is of one file, ``most_of_tenant`` of all files of a tenant."""

    store: Sources
    most_bytes: int
    most_of_tenant: int

    async def upload(self, service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        file = uuid7()
        with sending(call.principal.tenant or ""):
            upload = await receive_upload(scope, receive, self.store, file, self.most_bytes)
        try:
            _check(upload)
            made = await in_database(
                create_file,
                acting=msgspec.structs.replace(call.principal, request=call.id),
                file_id=file,
                name=upload.filename,
                size=upload.size,
                sha256=upload.sha256,
                most_bytes=self.most_of_tenant,
            )
        except Unavailable:
            raise  # whether the row was written is not known: the sweep decides
        except Exception:
            await asyncio.to_thread(self.store.delete, file.hex)
            raise
        await http.respond(send, 200, http.encode(file_object(made)), call.headers())

    async def listed(self, service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        files, has_more = await in_database(
            page_of_files,
            call.principal.tenant or "",
            after=cursor(scope, FILE),
            limit=limit(scope, default=MOST_LISTED, most=MOST_LISTED),
            purpose=choice(scope, "purpose", None, *File.Purpose.values),
            newest_first=choice(scope, "order", "desc", "asc", "desc") == "desc",
        )
        await http.respond(
            send, 200, page_object([file_object(file) for file in files], has_more=has_more), call.headers()
        )

    async def one(self, service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        file = await in_database(get_file, call.principal.tenant or "", _id(scope))
        await http.respond(send, 200, http.encode(file_object(file)), call.headers())

    async def content(self, service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        file = await in_database(get_file, call.principal.tenant or "", _id(scope))
        headers = {name.decode(): value.decode() for name, value in call.headers()}
        try:
            response = await reading.response(
                self.store, file.id.hex, scope, etag=file.sha256, filename=file.name, headers=headers
            )
        except Missing:
            raise Unavailable("The file is known, but its bytes are not on this server.") from None
        await response(scope, receive, send)

    async def delete(self, service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        file = _id(scope)
        await in_database(delete_file, acting=msgspec.structs.replace(call.principal, request=call.id), file_id=file)
        if file is not None:
            await asyncio.to_thread(self.store.delete, file.hex)
            answer = {"id": file_name(file), "object": "file", "deleted": True}
            await http.respond(send, 200, http.encode(answer), call.headers())


def _id(scope: Scope) -> uuid.UUID | None:
    return id_of(scope["path"].removeprefix("/v1/files/").removesuffix("/content"), FILE)


def _check(upload: UploadedFile) -> None:
    given = dict(upload.fields)
    purpose = given.pop("purpose", None)
    if purpose is None:
        raise InvalidRequest("The form has no field 'purpose'.", param="purpose")
    if purpose != "batch":
        raise Unsupported(f"'purpose' must be 'batch' here; '{purpose[:40]}' is not supported.", param="purpose")
    if given:
        name = next(iter(given))[:80]
        raise Unsupported(f"'{name}' is not supported here.", param=name)
