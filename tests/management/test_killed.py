"""A controller that is killed in the middle of a download: another takes the job up and goes on where it stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from pytest_django import Settings

from models_registry.actions.blob import blob_store
from models_registry.blob_keys import blob_key
from models_registry.models import Job
from ollamamax.blobs.reading import read_bytes
from ollamamax.env import Environment
from ollamamax.identity.scope import every_tenant
from tests.cast import Key
from tests.fakes.registry import Registry
from tests.management.conftest import Served, knows, write_gguf
from tests.worker.node import ROOT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]


@pytest.fixture
def registry(settings: Settings) -> Iterator[Registry]:
    made = Registry()
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_PULL_REGISTRIES": [made.host]})
    yield made
    made.stop()


class RealController:
    """`ollamamax controller` as a process, on the test's own servers."""

    def __init__(self, registry: Registry, log: Path) -> None:
        place = connection.settings_dict
        options = f"?host={place['HOST']}" if str(place["HOST"]).startswith("/") else ""
        host = "" if options else place["HOST"]
        user = f"{place['USER']}:{place['PASSWORD']}"
        environment = {
            "DATABASE_URL": f"postgresql://{user}@{host}:{place['PORT']}/{place['NAME']}{options}",
            "OLLAMAMAX_SECRET_KEY": settings.SECRET_KEY,
            "REDIS_URL": settings.REDIS_URL,
            "OLLAMAMAX_HOME": str(settings.HOME),
            "OLLAMAMAX_PULL_REGISTRIES": registry.host,
            "DJANGO_SETTINGS_MODULE": "ollamamax.settings",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ollamamax.cli", "controller"],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=log.open("ab"),
            stderr=subprocess.STDOUT,
        )

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def test_a_killed_controllers_download_is_gone_on_with(
    registry: Registry, served: Served, owner_key: Key, tmp_path: Path
) -> None:
    weights = write_gguf(tmp_path / "big.gguf", size=1_000_000).read_bytes()
    registry.publish("team/tiny:1b", registry.add(weights, "model"))
    registry.pause = 0.3
    client = served.ollama(owner_key)
    knows(lambda: client.list())
    first = RealController(registry, tmp_path / "log")
    told = client.pull(f"{registry.host}/team/tiny:1b", stream=True)
    for each in told:
        if (each.completed or 0) > 1_000_000:
            break
    first.process.kill()
    first.process.wait()
    registry.pause = 0.0
    second = RealController(registry, tmp_path / "log")
    try:
        assert [each.status for each in told][-1] == "success", (tmp_path / "log").read_text()[-2000:]
    finally:
        second.end()
    digest = json.loads(registry.manifests["team/tiny:1b"])["layers"][0]["digest"]
    assert read_bytes(blob_store(), blob_key(digest)) == weights
    start = int(registry.ranges(digest)[-1].removeprefix("bytes=").rstrip("-"))
    assert start >= 1_000_000
    with every_tenant():
        job = Job.objects.get()
    assert (job.state, job.attempts) == ("done", 2)
