"""Request bodies that come compressed (RFC 9110, 8.4) or in another charset than UTF-8, read as plain ones.

What comes out is handed on in small pieces, so that whoever reads it can stop when it is too long.
"""

from __future__ import annotations

import asyncio
import codecs
import zlib
from collections.abc import MutableMapping
from typing import Any

from ollamamax.gateway.http import NAMED, Receive, Scope, header, named
from ollamamax.kernel import errors

PIECE_BYTES = 256 << 10
ENCODINGS = b"gzip, deflate"
"""What is told to a client that sends another one."""
_IDLE_BYTES = 64 << 10
"""Bytes that may go in and give nothing: a header, or an empty block. Without a bound they could go on for ever."""
_GZIP, _DEFLATE, _RAW = zlib.MAX_WBITS + 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
_WINDOWS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _DEFLATE}
"""Encodings that are read, and what zlib calls them."""
_PLAIN = frozenset({"utf-8", "us-ascii"})
_CHARSETS = {
    **dict.fromkeys(("iso-8859-1", "latin1", "latin-1", "windows-1252", "cp1252"), "cp1252"),
    **{name: name for name in ("utf-16", "utf-16le", "utf-16be", "utf-32", "utf-32le", "utf-32be")},
}
"""Charsets that are read, by the names they have in ``Content-Type``, and Python's names for them."""


class UnsupportedEncoding(errors.OllamaMaxError):
    """The body is in a form that is not read here."""

    code = "unsupported_content_encoding"
    status = 415


def unpacked(scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
    """The same request with a plain body, or as it is when its body is plain. The body raises `InvalidRequest` when it is read
    and is not what it says, and `UnsupportedEncoding`."""
    headers = named(scope)
    if b"content-encoding" not in headers and b"charset" not in headers.get(b"content-type", b""):
        return scope, receive
    encoding = (header(scope, b"content-encoding") or "").strip().lower()
    charset = _charset(header(scope, b"content-type"))
    if encoding in {"", "identity"} and not charset:
        return scope, receive
    plain = {name: value for name, value in scope.items() if name != NAMED}
    gone = {b"content-encoding", b"content-length"}
    plain["headers"] = [(name, value) for name, value in scope["headers"] if name.lower() not in gone]
    return plain, _Unpacked(receive, encoding, charset)


def _charset(content_type: str | None) -> str:
    """Python's name for a charset that is read and is not UTF-8; empty for all others, which the decoder will judge."""
    if content_type is None or "charset" not in content_type:
        return ""
    given = content_type.partition("charset=")[2].partition(";")[0].strip(" \"'").lower()
    return "" if given in _PLAIN else _CHARSETS.get(given, "")


class _Unpacked:
    """`receive`, of the plain body."""

    def __init__(self, receive: Receive, encoding: str, charset: str) -> None:
        self._receive = receive
        self._encoding = encoding if encoding != "identity" else ""
        self._unpack = _Inflate(encoding) if encoding in _WINDOWS else None
        self._decode = codecs.getincrementaldecoder(charset)(errors="replace") if charset else None
        self._came_last = False
        self._ended = False

    async def __call__(self) -> MutableMapping[str, Any]:
        if self._encoding and self._unpack is None:
            raise UnsupportedEncoding(
                f"A body with the content encoding '{self._encoding[:50]}' is not read here; send it as it is, or as gzip."
            )
        while not self._ended:
            if self._unpack is not None and self._unpack.has_more:
                await asyncio.sleep(0)  # others have a turn between the pieces of a long body
                piece = self._unpack.next()
            elif self._came_last:
                piece = b""
            else:
                message = await self._receive()
                if message["type"] != "http.request":
                    return message
                self._came_last = not message.get("more_body", False)
                piece = message.get("body", b"")
                if self._unpack is not None:
                    piece = self._unpack.take(piece)
            self._ended = self._came_last and (self._unpack is None or self._unpack.is_over())
            if self._decode is not None:
                try:
                    piece = self._decode.decode(piece, self._ended).encode()
                except UnicodeError as error:  # of a charset that needs a mark of its byte order, which is missing
                    raise errors.InvalidRequest(f"The body is not in the charset that it names: {error}.") from None
            if piece or self._ended:
                return {"type": "http.request", "body": piece, "more_body": not self._ended}
        return await self._receive()


class _Inflate:
    """One compressed body, a piece at a time."""

    def __init__(self, encoding: str) -> None:
        self._bits = _WINDOWS[encoding]
        self._inflate: Any = None
        self._consumed = self._produced = 0
        self.has_more = False
        """Whether there is more to come of what was taken."""

    def take(self, data: bytes) -> bytes:
        if self._inflate is None:
            if not data:
                return b""
            if self._bits == _DEFLATE and data[0] & 0x0F != zlib.DEFLATED:
                self._bits = _RAW  # as some send it, without zlib's header
            self._inflate = zlib.decompressobj(self._bits)
        elif self._inflate.eof and data:
            raise _broken("something follows its end")
        return self._step(data)

    def next(self) -> bytes:
        return self._step(self._inflate.unconsumed_tail)

    def is_over(self) -> bool:
        """Whether nothing is left. Raises `InvalidRequest` when the end is missing."""
        if self.has_more:
            return False
        if self._inflate is not None and not self._inflate.eof:
            raise _broken("its end is missing")
        return True

    def _step(self, data: bytes) -> bytes:
        try:
            piece: bytes = self._inflate.decompress(data, PIECE_BYTES)
        except zlib.error as error:
            raise _broken(str(error)) from None
        left = self._inflate.unconsumed_tail
        self._consumed += len(data) - len(left)
        self._produced += len(piece)
        if self._inflate.unused_data:
            raise _broken("something follows its end")
        if self._consumed > 2 * self._produced + _IDLE_BYTES:
            raise _broken("it holds nothing")
        self.has_more = not self._inflate.eof and (bool(left) or len(piece) == PIECE_BYTES)
        return piece


def _broken(why: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(f"The body is not what its content encoding says: {why}.")
