"""`/readyz` of a process that serves inference: 200 while it would answer, else 503 with the parts of it that are down."""

from __future__ import annotations

from collections.abc import Mapping

from ollamamax.gateway.http import Send, encode, respond

PATH = "/readyz"


async def tell(send: Send, problems: Mapping[str, str]) -> None:
    """``problems``: the name of each part that is down, and why."""
    if not problems:
        await respond(send, 200, b'{"status":"ok"}')
        return
    body = encode({"status": "unavailable", "parts": dict(problems)})
    await respond(send, 503, body, [(b"retry-after", b"2"), (b"cache-control", b"no-store")])
