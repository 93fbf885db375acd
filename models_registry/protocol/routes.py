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
    of_model: bool = False
    """Whether the permission may be had on the model that the body names only: then the actions ask of which one."""


BLOB = RegistryRoute(("HEAD", "POST"))
ROUTES: dict[str, RegistryRoute] = {
    "/api/create": RegistryRoute(("POST",), recipe.FIELDS),
    "/api/pull": RegistryRoute(("POST",), requests.TRANSFER),
    "/api/push": RegistryRoute(("POST",), requests.TRANSFER, of_model=True),
    "/api/copy": RegistryRoute(("POST",), requests.COPY, of_model=True),
    "/api/delete": RegistryRoute(("DELETE",), requests.DELETE, of_model=True),
    f"{BLOBS}{{digest}}": BLOB,
}


def route_of(path: str) -> RegistryRoute | None:
    return BLOB if path.startswith(BLOBS) else ROUTES.get(path)
