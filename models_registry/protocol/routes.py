"""The routes of Ollama's API for managing models: who may use them, and what they take. No Django."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models_registry import recipe
from models_registry.protocol import requests
from ollamamax.contract.fields import Fields

BLOBS = "/api/blobs/"


@dataclass(frozen=True)
class RegistryRoute:
    methods: tuple[str, ...]
    fields: Fields[Any] | None = None
    permission: str = "model.manage"


BLOB = RegistryRoute(("HEAD", "POST"))
ROUTES: dict[str, RegistryRoute] = {
    "/api/create": RegistryRoute(("POST",), recipe.FIELDS),
    "/api/pull": RegistryRoute(("POST",), requests.TRANSFER),
    "/api/push": RegistryRoute(("POST",), requests.TRANSFER),
    "/api/copy": RegistryRoute(("POST",), requests.COPY),
    "/api/delete": RegistryRoute(("DELETE",), requests.DELETE),
    f"{BLOBS}{{digest}}": BLOB,
}


def route_of(path: str) -> RegistryRoute | None:
    return BLOB if path.startswith(BLOBS) else ROUTES.get(path)
