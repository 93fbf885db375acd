"""The web process on a real port, and what the tests of the registry protocol send to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from models_registry import manifest as manifests
from tests.cast import Key
from tests.management.conftest import Controller, Served, _home, controller, gguf, knows, served

__all__ = ["Controller", "Served", "_home", "controller", "gguf", "served"]

EMPTY = b"{}"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def image_of(*layers: bytes, config: bytes = EMPTY, media_type: str = "text/plain", **more: Any) -> bytes:
    """An OCI image of these layers, none of which is a model."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": manifests.OCI_IMAGE,
            "config": descriptor(config, "application/vnd.example.config+json"),
            "layers": [descriptor(each, media_type) for each in layers],
            **more,
        }
    ).encode()


class Repository:
    """One repository, as a client with this key sees it."""

    def __init__(self, served: Served, key: Key, name: str) -> None:
        self.name = name
        self.http = httpx.Client(
            base_url=f"{served.url}/v2/{name}/", headers={"Authorization": f"Bearer {key.text}"}, timeout=60
        )

    def push_blob(self, data: bytes) -> httpx.Response:
        place = self.http.post("blobs/uploads/").headers["location"]
        return self.http.put(f"{place}?digest={digest_of(data)}", content=data)

    def push_manifest(
        self, body: bytes, reference: str = "latest", media_type: str = manifests.OCI_IMAGE
    ) -> httpx.Response:
        return self.http.put(f"manifests/{reference}", content=body, headers={"Content-Type": media_type})

    def push(self, *layers: bytes, tag: str = "latest", **more: Any) -> str:
        """The digest of an image of these layers that was pushed."""
        for each in (EMPTY, *layers):
            assert self.push_blob(each).status_code == 201
        answer = self.push_manifest(image_of(*layers, **more), tag)
        assert answer.status_code == 201, answer.text
        return answer.headers["docker-content-digest"]


def told(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error in the protocol's own form."""
    [error] = answer.json()["errors"]
    assert error["message"]
    return answer.status_code, error["code"]


@pytest.fixture
def repository(served: Served, owner_key: Key) -> Iterator[Repository]:
    """The owner's, of a model that is not there yet."""
    made = Repository(served, owner_key, "acme/tiny")
    knows(lambda: served.ollama(owner_key).list())
    yield made
    made.http.close()


@pytest.fixture
def strangers(served: Served, stranger_key: Key) -> Iterator[Repository]:
    """The same name, as another tenant's key asks for it."""
    made = Repository(served, stranger_key, "acme/tiny")
    knows(lambda: served.ollama(stranger_key).list())
    yield made
    made.http.close()
