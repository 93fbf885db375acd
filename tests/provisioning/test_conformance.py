"""The conformance checks of SCIM 2.0 that others made, against ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from scim2_client.engines.wsgi import WSGISCIMClient
from scim2_tester import Status, check_server

from tests.provisioning.conftest import Directory

pytestmark = pytest.mark.django_db


@pytest.fixture
def _one_connection() -> Iterator[None]:
    """That of the test, whose transaction each request is in, as Django's own test client has it."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.no_cover
@pytest.mark.usefixtures("_one_connection")
@pytest.mark.timeout(900)
def test_the_conformance_checks_find_no_fault(scim: Directory) -> None:
    headers = {"Authorization": f"Bearer {scim.token}"}
    client = WSGISCIMClient(WSGIHandler(), base_url="http://testserver/scim/v2/", headers=headers)
    results = check_server(client)
    bad = [f"{each.title}: {each.reason}" for each in results if each.status in {Status.ERROR, Status.CRITICAL}]
    assert not bad, "\n".join(bad)
    assert sum(each.status == Status.SUCCESS for each in results) > 50
