"""Classes within a tenant: what a request may ask for, and who goes first."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from tests.gateway.conftest import Site
from tests.gateway.waiting import ask, full, queued
from tests.patience import until


async def test_a_class_goes_before_others_of_the_same_tenant(site: Site) -> None:
    gate, _ = await full(site)
    urgent = await site.issue_key(site.tenant, priority="high")
    await ask(site, "normal", wait=False)
    await queued(site, 1)
    await ask(site, "high", wait=False, key=urgent, **{"x-ollamamax-priority": "high"})
    await queued(site, 2)
    gate.let(3)
    await until(lambda: len(gate.said) == 3)
    assert gate.said == ["first", "high", "normal"]


async def test_a_low_class_has_aged_when_half_of_its_time_is_over(site: Site) -> None:
    service = await site.gateway.start()
    site.gateway._service = dataclasses.replace(service, deadline=6.0)
    gate, _ = await full(site)
    urgent = await site.issue_key(site.tenant, priority="high")

    async def add(content: str, priority: str, waiting: int) -> None:
        await ask(site, content, wait=False, key=urgent, **{"x-ollamamax-priority": priority})
        await queued(site, waiting)

    await add("low", "low", 1)
    await add("high", "high", 2)
    gate.let()
    await until(lambda: gate.said == ["first", "high"])
    await asyncio.sleep(3)
    await add("late", "high", 2)
    gate.let(2)
    await until(lambda: len(gate.said) == 4)
    gate.let()
    assert gate.said == ["first", "high", "low", "late"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-ollamamax-priority": "high"}, 403),
        ({"x-ollamamax-priority": "urgent"}, 400),
        ({"x-ollamamax-timeout": "soon"}, 400),
        ({"x-ollamamax-timeout": "-1"}, 400),
        ({"x-ollamamax-timeout": "nan"}, 400),
    ],
)
async def test_wishes_that_are_not_granted(site: Site, headers: dict[str, Any], status: int) -> None:
    await site.add_node()
    assert (await ask(site, "x", **headers))[0] == status
