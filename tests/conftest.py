"""The cast: the same people and keys in every test. `stranger` owns another tenant and is refused everywhere.

`operator` owns the tenant that runs the installation, which is there only where a test asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import redis
from django.conf import settings
from django.db import connection, transaction

import ollamamax.celery  # noqa: F401 - the first application that is made is that of all threads
from ollamamax.bus import connect

if TYPE_CHECKING:
    from rest_framework.test import APIClient

    from ollamamax.identity.models import Tenant
    from tests.cast import Key, Person


KEPT = {"django_content_type", "auth_permission"}
MEASURED = ("tests/embedded/test_up.py", "tests/engines/", "tests/worker/")
"""Whose processes are measured: they run lines that no test's own process runs."""


@pytest.fixture(scope="session", autouse=True)
def _tables_are_emptied_quickly() -> Iterator[None]:
    """Tests with real transactions empty all tables after them, which the audit trail's triggers refuse.

    As superuser, and for that one transaction, the triggers do not fire. Rows are deleted, since there are few:
    TRUNCATE makes new files for every table and index. Django's own tables of types and permissions stay, so that
    it need not fill them anew; it does so whenever it is handed SQL to flush with, hence none is.
    """
    original = connection.ops.sql_flush

    def sql_flush(style: Any, tables: list[str], **kwargs: Any) -> list[str]:
        names = [connection.ops.quote_name(name) for name in tables if name not in KEPT]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            # As TRUNCATE does: what another connection has begun is over, or nothing is emptied yet.
            cursor.execute(f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE")
            cursor.execute("; ".join(f"DELETE FROM {name}" for name in names if name != '"identity_role"'))
            # Those of the system are there from the migrations on, as in every installation.
            cursor.execute("DELETE FROM identity_role WHERE tenant_id IS NOT NULL")
        return []

    connection.ops.sql_flush = sql_flush  # type: ignore[assignment, method-assign]
    yield
    connection.ops.sql_flush = original  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _mask_of_new_files() -> Iterator[None]:
    """Commands that run within a test narrow the mask of their process, which is that of the tests after it here."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(scope="module", autouse=True)
def _coverage_of_processes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whether what a module starts measures itself, which doubles the time of a start."""
    with pytest.MonkeyPatch.context() as patch:
        if not request.node.nodeid.startswith(MEASURED):
            for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
                patch.delenv(name)
        yield


@pytest.fixture
def redis_url() -> str:
    """This process's own Valkey."""
    url: str = settings.REDIS_URL
    return url


@pytest.fixture
def valkey(redis_url: str) -> Iterator[redis.Redis]:
    """A client of this process's own Valkey, which is emptied first."""
    client = connect.connect(redis_url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def tenant(db: None) -> Tenant:
    from tests import cast

    return cast.make_tenant("acme")


@pytest.fixture
def owner(tenant: Tenant) -> Person:
    from tests import cast

    return cast.make_person(tenant, "owner", "owner")


@pytest.fixture
def member(tenant: Tenant) -> Person:
    from tests import cast

    return cast.make_person(tenant, "member", "member")


@pytest.fixture
def viewer(tenant: Tenant) -> Person:
    from tests import cast

    return cast.make_person(tenant, "viewer", "viewer")


@pytest.fixture
def stranger(db: None) -> Person:
    from tests import cast

    return cast.make_person(cast.make_tenant("strangers"), "stranger", "owner")


@pytest.fixture
def operator(db: None) -> Person:
    from tests import cast

    return cast.make_person(cast.make_operators_tenant("operators"), "operator", "owner")


@pytest.fixture
def owner_key(owner: Person) -> Key:
    from tests import cast

    return cast.make_key(owner)


@pytest.fixture
def inference_key(owner: Person) -> Key:
    """A key with the default permissions."""
    from tests import cast

    return cast.make_key(owner, permissions=None)


@pytest.fixture
def stranger_key(stranger: Person) -> Key:
    from tests import cast

    return cast.make_key(stranger)


@pytest.fixture
def anonymous_api() -> APIClient:
    from rest_framework.test import APIClient

    return APIClient()


@pytest.fixture
def owner_api(owner: Person) -> APIClient:
    from tests import cast

    return cast.logged_in(owner)


@pytest.fixture
def member_api(member: Person) -> APIClient:
    from tests import cast

    return cast.logged_in(member)


@pytest.fixture
def viewer_api(viewer: Person) -> APIClient:
    from tests import cast

    return cast.logged_in(viewer)


@pytest.fixture
def stranger_api(stranger: Person) -> APIClient:
    from tests import cast

    return cast.logged_in(stranger)


@pytest.fixture
def operator_api(operator: Person) -> APIClient:
    from tests import cast

    return cast.logged_in(operator)


@pytest.fixture
def key_api(owner_key: Key) -> APIClient:
    from tests import cast

    return cast.with_key(owner_key.text)


@pytest.fixture
def stranger_key_api(stranger_key: Key) -> APIClient:
    from tests import cast

    return cast.with_key(stranger_key.text)
