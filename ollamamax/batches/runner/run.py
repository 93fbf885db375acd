"""One batch in the hands of a runner: from wherever it stands to its end, unless the runner is stopped before."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field

from django.db import IntegrityError

from ollamamax import logs
from ollamamax.batches.actions import progress
from ollamamax.batches.models import Batch
from ollamamax.batches.queries.batch import BatchAnswer, answered_numbers, held_batch, key_works
from ollamamax.batches.runner import lines
from ollamamax.batches.runner.lines import BatchLine, BatchProblem
from ollamamax.batches.runner.output import write_output
from ollamamax.batches.runner.patience import pause_after, pause_for_room
from ollamamax.batches.runner.room import Room
from ollamamax.batches.runner.validation import validate
from ollamamax.blobs.reading import open_file
from ollamamax.blobs.store import Missing, Sources
from ollamamax.bus.database import in_database_at_last
from ollamamax.bus.directory import Directory
from ollamamax.gateway.app import Gateway
from ollamamax.identity import access
from ollamamax.kernel.tasks import end

UNAUTHENTICATED = 401
_READ_AT_ONCE = 32
_WRITE_AT_ONCE = 200
_log = logs.get(__name__)
Status = Batch.Status
EXPIRED = BatchProblem("batch_expired", "This request could not be executed before the completion window expired.")
CANCELLED = BatchProblem("batch_cancelled", "The batch was cancelled before this request was executed.")
KEY_GONE = BatchProblem("key_revoked", "The API key that made this batch was revoked or has expired.")
FILE_GONE = BatchProblem("file_not_found", "The bytes of the input file are not on the server that runs batches.")


@dataclass(frozen=True)
class Shared:
    """What all batches of a runner share. ``slots`` bounds the requests that are under way."""

    runner: str
    gateway: Gateway
    directory: Directory
    store: Sources
    concurrency: int
    most_bytes: int
    most_lines: int
    slots: asyncio.Semaphore
    room: Room = field(default_factory=Room)
    reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """Bounds the threads that go through whole files, so that leases are renewed meanwhile."""


class BatchRun:
    """`drain` and `halt` end it early: the one lets requests finish, the other does not."""

    def __init__(self, shared: Shared, batch: uuid.UUID) -> None:
        self._shared = shared
        self._id = batch
        self._draining = asyncio.Event()
        self._halted = asyncio.Event()
        self._end: tuple[Batch.Status, BatchProblem] | None = None

    def drain(self) -> None:
        """Begin no more requests."""
        self._draining.set()

    def halt(self, end: tuple[Batch.Status, BatchProblem] | None = None) -> None:
        """Stop all requests; ``end`` is how the batch ends then, where its own status does not say."""
        self._end = self._end or end
        self._draining.set()
        self._halted.set()

    async def run(self) -> None:
        """Raises `Lost` when another runner has the batch."""
        while (batch := await in_database_at_last(held_batch, self._id, self._shared.runner)) is not None:
            if batch.status not in Batch.UNFINISHED:
                return
            if batch.status == Status.CANCELLING:
                await self._finish(batch, Status.CANCELLED, CANCELLED)
            elif self._end is not None:
                await self._finish(batch, *self._end)
            elif self._draining.is_set():
                return
            elif batch.status == Status.VALIDATING:
                await self._validate(batch)
            elif batch.status == Status.IN_PROGRESS:
                await self._answer_all(batch)
            else:
                await self._finish(batch, Status.COMPLETED, None)

    async def _validate(self, batch: Batch) -> None:
        shared = self._shared
        async with shared.reading:
            found = await asyncio.to_thread(
                validate,
                shared.store,
                batch.input_file,
                batch.endpoint,
                most_bytes=shared.most_bytes,
                most_lines=shared.most_lines,
                halted=self._halted.is_set,
            )
        if self._halted.is_set():
            return
        if isinstance(found, int):
            await in_database_at_last(progress.begin, batch, shared.runner, found)
        else:
            problems = [problem.fields() for problem in found]
            await in_database_at_last(progress.finish, batch, shared.runner, Status.FAILED, problems=problems)
            _log.info("batch_refused", batch=batch.id.hex, problems=len(problems), first=problems[0]["code"])

    async def _finish(self, batch: Batch, status: Batch.Status, unanswered: BatchProblem | None) -> None:
        """Write the files, then the end; when the status changed meanwhile, the files are swept later."""
        shared = self._shared
        async with shared.reading:
            output, error = await in_database_at_last(write_output, shared.store, batch, shared.most_bytes, unanswered)
        problems = [unanswered.fields()] if unanswered is not None and status == Status.FAILED else []
        if await in_database_at_last(
            progress.finish, batch, shared.runner, status, output=output, error=error, problems=problems
        ):
            _log.info("batch_ended", batch=batch.id.hex, status=status.value)

    # -- its requests ---------------------------------------------------------------------------------------------

    async def _answer_all(self, batch: Batch) -> None:
        done = await in_database_at_last(answered_numbers, batch)
        answers: asyncio.Queue[BatchAnswer] = asyncio.Queue(_WRITE_AT_ONCE)
        work = asyncio.create_task(self._work(batch, self._requests(batch, done), answers))
        writer = asyncio.create_task(self._write(batch, answers))
        halted = asyncio.create_task(self._halted.wait())
        written: asyncio.Task[None] | None = None
        try:
            await asyncio.wait({work, writer, halted}, return_when=asyncio.FIRST_COMPLETED)
            await end([work])
            # What was answered by now counts, however this goes on.
            written = asyncio.create_task(answers.join())
            await asyncio.wait({written, writer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end([work, writer, halted, *([written] if written is not None else [])])
        for task in (writer, work):
            if not task.cancelled() and (error := task.exception()) is not None:
                if not isinstance(error, Missing):
                    raise error
                self.halt((Status.FAILED, FILE_GONE))
        if not self._draining.is_set():
            await in_database_at_last(progress.begin_finalizing, batch, self._shared.runner)

    async def _work(
        self, batch: Batch, requests: AsyncGenerator[BatchLine, None], answers: asyncio.Queue[BatchAnswer]
    ) -> None:
        turn = asyncio.Lock()

        async def one_after_another() -> None:
            while not self._draining.is_set():
                async with turn:
                    request = await anext(requests, None)
                answer = None if request is None else await self._answer(batch, request)
                if answer is None:
                    return
                await answers.put(answer)

        tasks = [asyncio.create_task(one_after_another()) for _ in range(self._shared.concurrency)]
        try:
            await asyncio.gather(*tasks)
        finally:
            await end(tasks)
            await requests.aclose()

    async def _requests(self, batch: Batch, done: set[int]) -> AsyncGenerator[BatchLine, None]:
        """The lines that have no answer yet."""
        file = await asyncio.to_thread(open_file, self._shared.store, batch.input_file.hex)
        try:
            numbered = lines.numbered(file, self._shared.most_bytes)
            while some := await asyncio.to_thread(_several, numbered):
                for number, line in some:
                    if number in done:
                        continue
                    request = lines.understand(number, line, batch.endpoint)
                    if isinstance(request, BatchLine):
                        yield request
        finally:
            file.close()

    async def _answer(self, batch: Batch, request: BatchLine) -> BatchAnswer | None:
        """Ask until an answer stands; ``None`` when the batch is stopped before."""
        shared = self._shared
        place = (batch.tenant_id.hex, request.model)
        failures = refusals = 0
        while not self._draining.is_set():
            known = access.working_key(shared.directory, batch.key.identifier)
            if known is None:
                if not await in_database_at_last(key_works, batch):
                    self.halt((Status.FAILED, KEY_GONE))
                    return None
                await self._rest(1.0)  # Redis lost the keys; they are published again soon
                continue
            async with shared.slots:
                identity = access.identified(known, batch.key.identifier)
                answer = await shared.gateway.ask(identity, batch.endpoint, request.body)
            if answer.status == UNAUTHENTICATED:
                continue  # revoked while it ran: looked up again, and no answer to the line
            if (pause := pause_for_room(answer, refusals)) is not None:
                refusals = 0 if await shared.room.wait(place, pause) else refusals + 1
                continue
            refusals = 0
            shared.room.freed(place)
            if (pause := pause_after(answer, failures)) is None:
                return lines.answered(request, answer)
            failures += 1
            await self._rest(pause)
        return None

    async def _rest(self, seconds: float) -> None:
        """Shorter when the runner is to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._draining.wait()

    async def _write(self, batch: Batch, answers: asyncio.Queue[BatchAnswer]) -> None:
        """Store what gathered while the last write was under way. Raises `Lost`."""
        while True:
            some = [await answers.get()]
            while len(some) < _WRITE_AT_ONCE and not answers.empty():
                some.append(answers.get_nowait())
            try:
                await in_database_at_last(progress.add_answers, batch, self._shared.runner, some)
            except IntegrityError:
                # A write whose answer was lost had been done after all, and was repeated.
                known = await in_database_at_last(answered_numbers, batch)
                rest = [each for each in some if each.number not in known]
                await in_database_at_last(progress.add_answers, batch, self._shared.runner, rest)
            for _ in some:
                answers.task_done()


def _several(numbered: Iterator[tuple[int, bytes | None]]) -> list[tuple[int, bytes | None]]:
    return list(itertools.islice(numbered, _READ_AT_ONCE))
