"""Writes what came of a batch as files: the answers in the order of the input, then what was never run."""

from __future__ import annotations

from typing import BinaryIO

from ollamamax.batches.actions.progress import Written
from ollamamax.batches.models import Batch
from ollamamax.batches.queries.batch import answers_of
from ollamamax.batches.runner.lines import BatchProblem, not_run, numbered, understand
from ollamamax.blobs.reading import open_file
from ollamamax.blobs.staging import Incoming
from ollamamax.blobs.store import Sources
from ollamamax.kernel.ids import uuid7


class _Output:
    """A file that comes to be with its first line."""

    def __init__(self, store: Sources, name: str) -> None:
        self._store = store
        self._name = name
        self._id = uuid7()
        self._file: Incoming | None = None

    def add(self, line: bytes) -> None:
        if self._file is None:
            self._file = self._store.staging.receive()
        self._file.write(line + b"\n")

    def keep(self) -> Written | None:
        if self._file is None:
            return None
        self._file.finish()
        self._store.put(self._file, self._id.hex)
        return Written(self._id, self._name, self._file.size, self._file.sha256)

    def drop(self) -> None:
        if self._file is not None:
            self._file.discard()


def write_output(
    store: Sources, batch: Batch, most_bytes: int, unanswered: BatchProblem | None
) -> tuple[Written | None, Written | None]:
    """The files of output and of errors, stored; ``None`` for one that would be empty.

    ``unanswered`` is what is said of the requests that have no answer; without it there are none. Blocks, and queries.
    """
    output = _Output(store, f"{batch}_output.jsonl")
    error = _Output(store, f"{batch}_error.jsonl")
    done: set[int] = set()
    try:
        for answer in answers_of(batch):
            (output if answer.is_success else error).add(answer.line)
            done.add(answer.number)
        if unanswered is not None and len(done) < batch.total:
            with open_file(store, batch.input_file.hex) as file:
                _add_unanswered(error, file, batch.endpoint, most_bytes, done, unanswered)
        return output.keep(), error.keep()
    except BaseException:
        output.drop()
        error.drop()
        raise


def _add_unanswered(
    error: _Output, file: BinaryIO, endpoint: str, most_bytes: int, done: set[int], why: BatchProblem
) -> None:
    for number, line in numbered(file, most_bytes):
        if number not in done:
            request = understand(number, line, endpoint)
            if not isinstance(request, BatchProblem):
                error.add(not_run(request, why.code, why.message))
