"""What a client that is turned away at the door reads, before any protocol of ours has a say."""

from __future__ import annotations

from http import HTTPStatus

from ollamamax.gateway.http import encode

_DETAIL = {
    400: "The request is not HTTP as this server reads it.",
    413: "The body is larger than this server accepts.",
    429: "Too many connections or requests come from this address.",
    431: "The headers are larger or more than this server accepts.",
    503: "This server has as many connections as it can have.",
}


def body(status: int) -> bytes:
    """Readable as a problem (RFC 9457), and by clients that look for ``error``."""
    title = HTTPStatus(status).phrase
    return encode(
        {"type": "about:blank", "title": title, "status": status, "detail": _DETAIL[status], "error": _DETAIL[status]}
    )


def response(status: int) -> bytes:
    """The whole response; the connection is closed after it."""
    content = body(status)
    again = "retry-after: 1\r\n" if status in {429, 503} else ""
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/problem+json\r\n"
        f"content-length: {len(content)}\r\n{again}connection: close\r\n\r\n"
    )
    return head.encode() + content
