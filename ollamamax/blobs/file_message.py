"""How an ASGI application has the server send a file: by the kernel, where the server can."""

from __future__ import annotations

FILE = "ollamamax.response.file"
"""A message of an answer, and the extension in the scope that says that it is understood: ``count`` bytes of ``file`` from ``offset`` are all of its body."""
