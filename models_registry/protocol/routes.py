"""The routes of Ollama's API for managing models: who may use them, and what they take. No Django."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from models_registry.protocol.requests import CopyRequest, DeleteRequest, TransferRequest
from models_registry.recipe import CreateRequest

BLOBS = "/api/blobs/"


@dataclass(frozen=True)
class Route:
    methods: tuple[str, ...]
    body: type[msgspec.Struct] | None = None
    permission: str = "model.manage"


BLOB = Route(("HEAD", "POST"))
ROUTES: dict[str, Route] = {
    "/api/create": Route(("POST",), CreateRequest),
    "/api/pull": Route(("POST",), TransferRequest),
    "/api/push": Route(("POST",), TransferRequest),
    "/api/copy": Route(("POST",), CopyRequest),
    "/api/delete": Route(("DELETE",), DeleteRequest),
    f"{BLOBS}{{digest}}": BLOB,
}


def route_of(path: str) -> Route | None:
    return BLOB if path.startswith(BLOBS) else ROUTES.get(path)
