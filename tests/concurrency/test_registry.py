"""Names and replicas change while loops look at them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connection

import ollamamax.celery  # noqa: F401 - tasks are sent by this application
from cluster.actions.node import remove_node
from cluster.models import Node
from models_registry.actions.name import copy_name, delete_name
from models_registry.actions.replica import reconcile_replicas
from models_registry.models import Channel, Replica, Version
from models_registry.replication.plan import observed as looks
from ollamamax.contract import ModelState
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import ModelNotFound
from tests.cast import Person
from tests.cluster.conftest import Join, says
from tests.registry.conftest import Publish, _home, gguf, join, publish, write_gguf

__all__ = ["_home", "gguf", "join", "publish"]

pytestmark = pytest.mark.django_db(transaction=True)


@contextlib.contextmanager
def looping() -> Iterator[None]:
    """Two loops that note where models are, meanwhile; what they raise fails the test."""
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
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_models_come_and_go_while_the_loop_notes_where_they_are(
    owner: Person, join: Join, publish: Publish, valkey: redis.Redis
) -> None:
    joined = join(owner)
    with looping():
        for _ in range(15):
            version = publish(owner)
            says(valkey, joined, ModelState(version.digest, "tiny:1b", "ready", "llamacpp", size=1))
            delete_name(acting=owner.acting, name="tiny:1b")
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


class Meanwhile:
    """Runs something on a connection of its own while the loop has its replicas locked, until it ends or waits for a lock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> None:
        self.problems: list[BaseException] = []
        self._work = work
        self._thread: threading.Thread | None = None

        def observed(*given: Any) -> Any:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run)
                self._thread.start()
                while self._thread.is_alive() and not self._waits():
                    time.sleep(0.01)
            return looks(*given)

        monkeypatch.setattr("models_registry.actions.replica.observed", observed)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - told by `end`
            self.problems.append(error)
        finally:
            connection.close()

    @staticmethod
    def _waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return bool(cursor.fetchone()[0])

    def end(self) -> None:
        assert self._thread is not None
        self._thread.join()
        assert self.problems == []


def _says_ready(valkey: redis.Redis, joined: Any, *versions: Version) -> None:
    says(valkey, joined, *(ModelState(each.digest, "tiny:1b", "ready", "llamacpp", size=1) for each in versions))


def _nothing_is_left(owner: Person) -> None:
    with tenant_scope(owner.tenant):
        assert (Node.objects.count(), Replica.objects.count()) == (0, 0)


def test_a_node_that_leaves_before_its_first_replica_is_written_gets_none(
    owner: Person, join: Join, publish: Publish, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = join(owner)
    _says_ready(valkey, joined, publish(owner))
    leaving = Meanwhile(monkeypatch, lambda: remove_node(acting=owner.acting, node_id=joined.node.id))
    reconcile_replicas()
    leaving.end()
    _nothing_is_left(owner)


def test_a_node_may_leave_while_its_second_replica_is_written(
    owner: Person, join: Join, publish: Publish, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It has the node and waits for the first replica; the loop has that and must not wait for the node."""
    joined, first = join(owner), publish(owner)
    _says_ready(valkey, joined, first)
    reconcile_replicas()
    second = publish(owner, "other:1b", file=write_gguf(tmp_path / "other.gguf", size=16))
    _says_ready(valkey, joined, first, second)
    leaving = Meanwhile(monkeypatch, lambda: remove_node(acting=owner.acting, node_id=joined.node.id))
    reconcile_replicas()
    leaving.end()
    _nothing_is_left(owner)


def test_nodes_come_and_go_while_the_loop_notes_what_they_have(
    owner: Person, join: Join, publish: Publish, valkey: redis.Redis
) -> None:
    version = publish(owner)
    with looping():
        for _ in range(15):
            joined = join(owner)
            _says_ready(valkey, joined, version)
            remove_node(acting=owner.acting, node_id=joined.node.id)
    _nothing_is_left(owner)
