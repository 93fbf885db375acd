"""A receiver of webhooks, which this machine may speak to in these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.notifications.receiver import LOCAL, Receiver, receiving


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.OUTBOUND_RULES = LOCAL
    with receiving() as found:
        yield found
