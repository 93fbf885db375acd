"""The routes of Ollama's API for managing models: who may use them, and what they take. No Django."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models_registry import recipe
from models_registry.protocol import requests
from ollamamax.contract.fields import Fields

BLOBS = "/api/blobs/"


@dataclass(frozen=True)
class Route:
    methods: tuple[str, ...]
    fields: Fields[Any] | None = None
    permission: str = "model.manage"


BLOB = Route(("HEAD", "POST"))
ROUTES: dict[str, Route] = {
    "/api/create": Route(("POST",), recipe.FIELDS),
    "/api/pull": Route(("POST",), requests.TRANSFER),
    "/api/push": Route(("POST",), requests.TRANSFER),
    "/api/copy": Route(("POST",), requests.COPY),
    "/api/delete": Route(("DELETE",), requests.DELETE),
    f"{BLOBS}{{digest}}": BLOB,
}


def route_of(path: str) -> Route | None:
    return BLOB if path.startswith(BLOBS) else ROUTES.get(path)
