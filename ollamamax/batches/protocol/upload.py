"""A multipart upload (RFC 7578), written to the disk as it arrives: a file of any size takes little memory."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ollamamax.blobs.staging import Incoming
from ollamamax.blobs.store import Sources
from ollamamax.gateway.http import ClientGone, Receive, Scope, header
from ollamamax.kernel.disk import told_when_full
from ollamamax.kernel.errors import InvalidRequest, TooLarge

_FORM_BYTES = 64 << 10
"""What a form may have besides the file: names, headers and boundaries of parts, values of fields."""
_MOST_PARTS = 16
_MOST_HEADERS = 8
"""Headers of one part."""
_HEADER_BYTES = 4 << 10
"""The longest header of a part."""
_AT_ONCE = 1 << 20


@dataclass
class UploadedFile:
    """The fields of the form, and its file: stored, without a row yet."""

    id: uuid.UUID
    size: int = 0
    sha256: str = ""
    filename: str = ""
    fields: dict[str, str] = field(default_factory=dict)


async def receive_upload(
    scope: Scope, receive: Receive, store: Sources, file: uuid.UUID, most_bytes: int
) -> UploadedFile:
    """Store the part ``file`` under this id. Raises `InvalidRequest`, `TooLarge`, `DiskFull`, `ClientGone`; then nothing is left."""
    declared = header(scope, b"content-length") or ""
    if declared.isdigit() and int(declared) > most_bytes + _FORM_BYTES:
        raise _too_large(most_bytes)
    form = _Form(_boundary(scope), most_bytes)
    await asyncio.to_thread(store.staging.require_free, int(declared) if declared.isdigit() else 0)
    with told_when_full():
        return await _stored(form, receive, store, file)


async def _stored(form: _Form, receive: Receive, store: Sources, file: uuid.UUID) -> UploadedFile:
    incoming = await asyncio.to_thread(store.staging.receive)
    try:
        async for waiting in form.read(receive):
            if len(waiting) >= _AT_ONCE:
                await _write(incoming, waiting)
        await _write(incoming, form.waiting)
        if form.filename is None:
            raise InvalidRequest("The form has no part 'file' with a file name.", param="file")
        fields = {name: _text(value, name) for name, value in form.fields.items()}
        # From here on the file has its name: nothing below may refuse the form.
        await asyncio.to_thread(incoming.finish)
        await asyncio.to_thread(store.put, incoming, file.hex)
    except BaseException:
        incoming.discard()
        raise
    return UploadedFile(file, incoming.size, incoming.sha256, form.filename, fields)


async def _write(incoming: Incoming, waiting: bytearray) -> None:
    await asyncio.to_thread(incoming.write_if_free, waiting)
    waiting.clear()


def _text(value: bytes | bytearray, param: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("The names and fields of a form are UTF-8, and this one is not.", param=param) from None


def _boundary(scope: Scope) -> bytes:
    kind, options = parse_options_header(header(scope, b"content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise InvalidRequest("A file is uploaded as multipart/form-data.", param="file")
    return options[b"boundary"]


def _too_large(most_bytes: int) -> TooLarge:
    return TooLarge(f"A file may have {most_bytes} bytes at most.", param="file", limit=most_bytes)


class _Form:
    """Takes the form apart. The file's bytes gather in ``waiting`` until the reader has written them.

    Everything else that it keeps, and how much it reads, is bounded whatever the client sends.
    """

    def __init__(self, boundary: bytes, most_bytes: int) -> None:
        self.waiting = bytearray()
        self.filename: str | None = None
        self.fields: dict[str, bytearray] = {}
        self._most_bytes = most_bytes
        self._name = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._into: bytearray | None = None
        self._parts = 0
        self._file_bytes = 0
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_part_data": self._data,
                    "on_end": self._end,
                },
                max_header_count=_MOST_HEADERS,
                max_header_size=_HEADER_BYTES,
            )
        except FormParserError as error:
            raise InvalidRequest(f"The form cannot be read: {error}.", param="file") from None

    async def read(self, receive: Receive) -> AsyncIterator[bytearray]:
        """Yields ``waiting`` after each part of the body."""
        more = True
        received = 0
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body = message.get("body", b"")
            received += len(body)
            try:
                self._parser.write(body)
            except FormParserError as error:
                raise InvalidRequest(f"The form cannot be read: {error}.", param="file") from None
            if self._file_bytes > self._most_bytes:
                raise _too_large(self._most_bytes)
            if received - self._file_bytes > _FORM_BYTES:
                raise TooLarge(f"A form may have {_FORM_BYTES} bytes at most besides its file.", param="file")
            yield self.waiting
            more = message.get("more_body", False)
        if not self._ended:
            raise InvalidRequest("The form ends in the middle.", param="file")

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise InvalidRequest(f"A form may have {_MOST_PARTS} parts at most.", param="file")
        self._headers, self._name, self._value = {}, b"", b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = _text(options.get(b"name", b""), "file")
        if b"filename" not in options:
            self._into = self.fields.setdefault(name, bytearray())
        elif name != "file" or self.filename is not None:
            raise InvalidRequest("The form has one file, named 'file'.", param=name)
        else:
            self.filename = _text(options[b"filename"], "file").replace("\0", "")[:255]
            self._into = self.waiting

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._into is self.waiting:
            self._file_bytes += end - start
        if self._into is not None:
            self._into += data[start:end]

    def _end(self) -> None:
        self._ended = True
