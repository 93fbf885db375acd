"""A WebSocket where the inference APIs have none: 426, on which programs such as Codex go on over HTTP."""

from __future__ import annotations

from ollamamax.gateway.http import JSON, Receive, Scope, Send, encode

_RESPONSE = "websocket.http.response"
_BODY = encode(
    {
        "error": {
            "message": "This address has no WebSocket; send the request over HTTP.",
            "type": "invalid_request_error",
            "param": None,
            "code": "upgrade_required",
        }
    }
)


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Servers that cannot answer a handshake say 403 by themselves."""
    await receive()
    if _RESPONSE not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close"})
        return
    headers = [
        (b"content-type", JSON),
        (b"content-length", str(len(_BODY)).encode()),
        (b"upgrade", b"HTTP/1.1"),
        (b"connection", b"close"),
    ]
    await send({"type": f"{_RESPONSE}.start", "status": 426, "headers": headers})
    await send({"type": f"{_RESPONSE}.body", "body": _BODY})
