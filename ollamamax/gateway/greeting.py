"""What the root says to Ollama's clients, which ask whether there is an Ollama."""

from __future__ import annotations

from ollamamax.gateway.http import Receive, Scope, Send, header, respond

_GREETING = b"Ollama is running"


def is_meant(scope: Scope) -> bool:
    """Whether a request is theirs: browsers ask the root for HTML."""
    return (
        scope["path"] == "/"
        and scope["method"] in {"GET", "HEAD"}
        and "text/html" not in (header(scope, b"accept") or "")
    )


async def greet(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, b"" if scope["method"] == "HEAD" else _GREETING, content_type=b"text/plain")
