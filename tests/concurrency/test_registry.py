"""Names and replicas change while loops look at them."""

from __future__ import annotations

import threading

import pytest
import redis
from django.db import connection

import ollamamax.celery  # noqa: F401 - tasks are sent by this application
from cluster.wire import ModelState
from models_registry.actions.name import copy_name, delete_name
from models_registry.actions.replica import reconcile_replicas
from models_registry.models import Channel, Version
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import ModelNotFound
from tests.cast import Person
from tests.cluster.conftest import Join, says
from tests.registry.conftest import Publish, _home, gguf, join, publish

__all__ = ["_home", "gguf", "join", "publish"]

pytestmark = pytest.mark.django_db(transaction=True)


def test_models_come_and_go_while_the_loop_notes_where_they_are(
    owner: Person, join: Join, publish: Publish, valkey: redis.Redis
) -> None:
    joined = join(owner)
    failures: list[BaseException] = []
    over = threading.Event()

    def loop() -> None:
        try:
            while not over.is_set():
                reconcile_replicas()
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=loop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(15):
        version = publish(owner)
        says(valkey, joined, ModelState(version.digest, "tiny:1b", "ready", "llamacpp", size=1))
        delete_name(acting=owner.acting, name="tiny:1b")
    over.set()
    for thread in threads:
        thread.join()
    assert failures == []
    with tenant_scope(owner.tenant):
        assert Version.objects.count() == 0


def test_a_copy_and_the_deletion_of_its_source_leave_a_name_with_its_version_or_none(
    owner: Person, publish: Publish
) -> None:
    for _ in range(8):
        publish(owner)
        refused: list[str] = []

        def copy(refused: list[str] = refused) -> None:
            try:
                copy_name(acting=owner.acting, source="tiny:1b", destination="copy")
            except ModelNotFound as error:
                refused.append(error.message)
            finally:
                connection.close()

        thread = threading.Thread(target=copy)
        thread.start()
        delete_name(acting=owner.acting, name="tiny:1b")
        thread.join()
        with tenant_scope(owner.tenant):
            names = list(Channel.objects.values_list("model__name", flat=True))
            assert names == ([] if refused else ["copy"])
            assert Version.objects.count() == len(names)
        if names:
            delete_name(acting=owner.acting, name="copy")
