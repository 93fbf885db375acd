"""Whatever the registry does, killed between any two of its steps: what is visible is whole, nothing is left over, and done again it is done."""

from __future__ import annotations

import datetime
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from django.conf import settings

from models_registry.actions.blob import blob_store, keep_upload
from models_registry.actions.collect import collect_garbage, collect_orphans
from models_registry.actions.rollout import change_rollout, run_rollouts, start_rollout
from models_registry.actions.scrub import restore_blob, scrub_blobs
from models_registry.actions.version import publish_gguf
from models_registry.blob_keys import blob_key
from models_registry.models import Blob, Channel, Rollout, Upload, Version
from models_registry.rollout.plan import OPEN
from ollamamax.identity.scope import every_tenant
from tests.cast import Person
from tests.distribution.killed import killed_at
from tests.distribution.whole import AT_ONCE, broken, left_over
from tests.registry.conftest import write_gguf

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]
STRIDE = int(os.environ.get("KILL_AT_EACH", "29"))
"""The process is killed at each step of so many; 1 (`make crashes`) is at every one."""


class Registry:
    """One registry, and what is about to happen to it."""

    def __init__(self, owner: Person, folder: Path) -> None:
        self.acting, self.tenant, self._folder = owner.acting, owner.tenant, folder
        self.number = 0

    def file(self) -> Path:
        self.number += 1
        return write_gguf(self._folder / f"{self.number}.gguf", size=1000 + self.number)

    def publish(self, name: str = "") -> Version:
        return publish_gguf(acting=self.acting, file=self.file(), name=name or f"m{self.number}:1")

    def place_of(self, version: Version) -> Path:
        [digest] = Version.objects.get(pk=version.pk).blobs.values_list("pk", flat=True)
        return settings.HOME / "blobs" / blob_key(digest)


Act = Callable[[], object]


def an_upload(registry: Registry) -> Act:
    file = registry.file()

    def act() -> None:
        incoming = blob_store().staging.copy(file)
        try:
            keep_upload(acting=registry.acting, incoming=incoming)
        finally:
            incoming.discard()

    return act


def a_new_model(registry: Registry) -> Act:
    file = registry.file()
    return lambda: publish_gguf(acting=registry.acting, file=file, name=f"m{registry.number}:1")


def another_version(registry: Registry) -> Act:
    registry.publish("same:1")
    file = registry.file()
    return lambda: publish_gguf(acting=registry.acting, file=file, name="same:1", aliases=("other",))


def collecting(registry: Registry) -> Act:
    an_upload(registry)()
    an_upload(registry)()
    with every_tenant():
        Upload.objects.all().delete()

    def act() -> None:
        collect_garbage(AT_ONCE)
        collect_orphans(datetime.timedelta(seconds=-60))

    return act


def scrubbing(registry: Registry) -> Act:
    with every_tenant():
        file = registry.place_of(registry.publish())
    data = bytearray(file.read_bytes())
    data[random.randrange(len(data))] ^= 1
    file.write_bytes(data)
    return lambda: scrub_blobs(lambda: None, again=AT_ONCE)


def repairing(registry: Registry) -> Act:
    with every_tenant():
        file = registry.place_of(registry.publish())
    data, digest = file.read_bytes(), f"sha256:{file.name}"
    scrub_blobs(lambda: None, again=AT_ONCE)
    file.unlink()
    scrub_blobs(lambda: None, again=AT_ONCE)

    def act() -> None:
        if not Blob.objects.exclude(damaged_at=None).filter(pk=digest).exists():
            return
        incoming = blob_store().staging.receive()
        incoming.write(data)
        incoming.finish()
        restore_blob(acting=registry.acting, staged=incoming, digest=digest)

    return act


def a_rollout(registry: Registry) -> Act:
    with every_tenant():
        open_ones = list(Rollout.objects.filter(state__in=OPEN).values_list("pk", flat=True))
    for each in open_ones:
        change_rollout(acting=registry.acting, rollout_id=each, act="roll_back")
    name = f"r{registry.number}:1"
    old = registry.publish(name)
    new = registry.publish(name.replace(":1", ":2"))
    with every_tenant():
        channel = Channel.objects.get(model__name=name.partition(":")[0], name="1")

    def act() -> None:
        with every_tenant():
            begun = Rollout.objects.filter(channel=channel).exists()
        if not begun:
            start_rollout(acting=registry.acting, channel_id=channel.id, version=new.digest)
        run_rollouts()
        with every_tenant():
            assert Rollout.objects.filter(channel=channel, from_version=old.digest).count() == 1

    return act


@pytest.mark.parametrize(
    "about", [an_upload, a_new_model, another_version, collecting, scrubbing, repairing, a_rollout]
)
def test_killed_at_any_step_it_is_as_if_nothing_or_all_of_it_had_happened(
    owner: Person, valkey: redis.Redis, tmp_path: Path, about: Callable[[Registry], Act]
) -> None:
    registry = Registry(owner, tmp_path)
    step, killed = random.randrange(STRIDE), True
    while killed:
        act = about(registry)
        killed = killed_at(step, act)
        if about is not scrubbing:  # what is about to be found is not whole
            assert broken() == [], f"after a kill at step {step}"
        act()
        assert broken() == [], f"done again after a kill at step {step}"
        assert left_over() == [], f"after a kill at step {step}"
        step += STRIDE
