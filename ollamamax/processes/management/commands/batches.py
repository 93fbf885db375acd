"""``ollamamax batches``: runs the requests of batches and evaluations on idle capacity, and responses in the background. Several may run."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from cluster.dispatch.admission import Bounds
from ollamamax.batches.runner.runner import BatchRunner
from ollamamax.blobs.places import sources
from ollamamax.bus.background import Background
from ollamamax.bus.directory import Directory
from ollamamax.bus.work_calls import WorkCalls
from ollamamax.contract import tables
from ollamamax.evaluations.runner.runner import EvaluationRunner
from ollamamax.gateway.app import Gateway
from ollamamax.observability import start as metrics
from ollamamax.responses.runner.background import BackgroundResponses


class Command(BaseCommand):
    help = "Run the requests of batches and evaluations, and responses in the background; several may run."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        with metrics.served("batches", settings.ENV, settings.HOME):
            asyncio.run(_run())


async def _run() -> None:
    directory = Directory(settings.REDIS_URL, tables.ALL)
    gateway = Gateway(
        directory,
        settings.REDIS_URL,
        max_body=settings.ENV["OLLAMAMAX_MAX_BODY_BYTES"],
        deadline=settings.ENV["OLLAMAMAX_REQUEST_DEADLINE_SECONDS"],
        bounds=Bounds.of(settings.ENV),
        region=settings.ENV["OLLAMAMAX_REGION"],
    )
    calls = WorkCalls(settings.REDIS_URL)
    runner = BatchRunner(
        gateway,
        sources(settings.HOME, "files", settings.ENV),
        calls,
        concurrency=settings.ENV["OLLAMAMAX_BATCH_CONCURRENCY"],
        most_bytes=settings.ENV["OLLAMAMAX_MAX_BODY_BYTES"],
        most_lines=settings.ENV["OLLAMAMAX_MAX_BATCH_LINES"],
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, runner.stop)
    background = BackgroundResponses(gateway, calls, concurrency=settings.ENV["OLLAMAMAX_BACKGROUND_CONCURRENCY"])
    evaluations = EvaluationRunner(gateway, calls, concurrency=settings.ENV["OLLAMAMAX_EVALUATION_CONCURRENCY"])
    working = Background()
    working.run("background responses", background.run)
    working.run("evaluations", evaluations.run)
    try:
        async with calls:
            await runner.run()
    finally:
        await working.stop()
        await directory.stop()
