"""A small real GGUF file, and models published from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import redis
from gguf import GGUFWriter
from pytest_django import Settings

from models_registry.actions.version import publish_gguf
from models_registry.models import Version
from tests.cast import Person
from tests.cluster.conftest import Join, join

__all__ = ["Join", "join"]

Publish = Callable[..., Version]


def write_gguf(path: Path, *, size: int = 8) -> Path:
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(512)
    writer.add_embedding_length(64)
    writer.add_file_type(0)
    writer.add_tensor("w", numpy.arange(size, dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, settings: Settings) -> None:
    settings.HOME = tmp_path / "home"


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "tiny.gguf")


@pytest.fixture
def publish(valkey: redis.Redis, gguf: Path) -> Publish:
    """Publishes the small model for the person's tenant."""

    def do(person: Person, name: str = "tiny:1b", *aliases: str, file: Path = gguf) -> Version:
        return publish_gguf(acting=person.acting, file=file, name=name, aliases=aliases)

    return do
