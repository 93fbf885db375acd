"""The house of the batches with a version that can be evaluated, and suites of one case a check."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any

import pytest_asyncio
from channels.db import database_sync_to_async

from cluster.dispatch.admission import Bounds
from models_registry.actions.version import register_external
from models_registry.models import Release
from ollamamax.bus.work_calls import WorkCalls
from ollamamax.evaluations.actions.evaluation import start_evaluation
from ollamamax.evaluations.actions.suite import create_suite
from ollamamax.evaluations.models import Evaluation, EvaluationResult, EvaluationSuite
from ollamamax.evaluations.runner.runner import EvaluationRunner
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.tasks import end
from tests.batches.conftest import House, house, people, rows
from tests.gateway.conftest import VERSION, gateway_of, publish_model, stop_gateway

__all__ = ["house", "people"]


def says(text: str, *checks: dict[str, Any], name: str = "", **more: Any) -> dict[str, Any]:
    """A case whose prompt is what a model that repeats will answer."""
    return {"name": name or text[:50], "messages": [{"role": "user", "content": text}], "checks": list(checks), **more}


def exact(text: str) -> dict[str, Any]:
    return {"kind": "exact", "expected": text}


@dataclass
class Desk:
    """One tenant with the version ``echo@VERSION``, and what it has it evaluated by."""

    house: House
    release: Release

    async def suite(self, *cases: dict[str, Any], name: str = "suite") -> EvaluationSuite:
        make = database_sync_to_async(create_suite, thread_sensitive=False)
        made: EvaluationSuite = await make(acting=self.house.owner.acting, name=name, cases=list(cases))
        return made

    async def order(self, suite: EvaluationSuite, **more: Any) -> uuid.UUID:
        start = database_sync_to_async(start_evaluation, thread_sensitive=False)
        key = self.house.key.row.pk
        made: Evaluation = await start(
            acting=self.house.owner.acting, release_id=self.release.pk, suite=suite.pk, key=key, **more
        )
        found: uuid.UUID = made.pk
        return found

    async def now(self, evaluation: uuid.UUID) -> Evaluation:
        found: Evaluation = await rows(lambda: Evaluation.objects.get(pk=evaluation))
        return found

    async def ended(self, evaluation: uuid.UUID) -> Evaluation:
        async with asyncio.timeout(60):
            while (found := await self.now(evaluation)).state in Evaluation.UNFINISHED:
                await asyncio.sleep(0.05)
        return found

    async def results(self, evaluation: uuid.UUID) -> list[EvaluationResult]:
        found: list[EvaluationResult] = await rows(
            lambda: list(EvaluationResult.objects.filter(evaluation=evaluation).order_by("number"))
        )
        return found

    async def add_runner(self, *, concurrency: int = 4) -> EvaluationRunner:
        """A runner in this process, stopped after the test."""
        gateway = gateway_of(self.house.redis_url, max_body=1_000_000, bounds=Bounds(20, 10))
        calls = await self.house.stack.enter_async_context(WorkCalls(self.house.redis_url))
        runner = EvaluationRunner(gateway, calls, concurrency=concurrency)
        task = asyncio.create_task(runner.run())

        async def stop() -> None:
            await end([task])
            await stop_gateway(gateway)

        self.house.stack.push_async_callback(stop)
        return runner


@pytest_asyncio.fixture
async def desk(house: House) -> Desk:
    def register() -> Release:
        acting = house.owner.acting
        register_external(acting=acting, name="echo:latest", digest=VERSION, engine="ollama", size=1)
        with tenant_scope(house.owner.tenant):
            return Release.objects.select_related("model", "version").get(version__digest=VERSION)

    release = await database_sync_to_async(register, thread_sensitive=False)()
    tenant = house.owner.tenant.id.hex
    publish_model(house.valkey, tenant)
    publish_model(house.valkey, tenant, f"echo@{VERSION}")
    return Desk(house, release)
