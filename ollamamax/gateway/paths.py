"""Paths as clients put them together from a base address and a route: mended where their meaning is clear, explained elsewhere. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

_ONE_MODEL = re.compile(r"/+v1/+models/(.*)", re.DOTALL)
_SLASHES = re.compile(r"//+")
_BASES = ("/v1", "/api")
_LONGEST = 100
"""Of a path that is compared with all routes, and of one that is repeated to the client."""
_SIMILAR = 0.85


def is_ours(path: str) -> bool:
    """Whether a path belongs to the inference APIs or to Ollama's for models (``/api/v1/`` is the management API)."""
    if path.startswith("/api"):
        return path == "/api" or (path.startswith("/api/") and path != "/api/v1" and not path.startswith("/api/v1/"))
    return path == "/v1" or path.startswith("/v1/")


def mended(path: str) -> str:
    """``path`` without doubled slashes and without one at its end, if it is ours then. A model's name keeps its slashes."""
    if "//" not in path and (not path.endswith("/") or path == "/"):
        return path
    if (named := _ONE_MODEL.fullmatch(path)) is not None:
        name = named[1].rstrip("/")
        return f"/v1/models/{name}" if name else "/v1/models"
    found = _SLASHES.sub("/", path).rstrip("/") or "/"
    return found if found == "/" or is_ours(found) else path


def suggested(path: str, known: Collection[str]) -> str | None:
    """The route that somebody meant who asked for ``path``, which is none of the ``known``. Nothing is guessed of the management API."""
    if len(path) > _LONGEST or path.startswith("/api/v1/"):
        return None
    ends = [route for route in known if path.endswith(route)]
    if ends:
        return max(ends, key=len)
    tail = next((path.removeprefix(base) for base in _BASES if path.startswith(f"{base}/")), path)
    for base in _BASES:
        if base + tail in known:
            return base + tail
    if not is_ours(path):
        return None
    return next(iter(difflib.get_close_matches(path, known, 1, _SIMILAR)), None)


def explained(path: str, meant: str | None) -> str:
    """What a client is told that asked for a path that is not there."""
    text = f"There is no {path if len(path) <= _LONGEST else path[:_LONGEST] + '...'} here."
    if meant is None:
        return text
    text += f" Did you mean {meant}?"
    if meant == f"/v1{path}":
        text += " The base address that OpenAI's clients are given ends in /v1."
    return text
