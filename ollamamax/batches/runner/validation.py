"""Reads the whole input of a batch once, before anything is run."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from ollamamax.batches.runner.lines import BatchProblem, numbered, understand
from ollamamax.blobs.reading import open_file
from ollamamax.blobs.store import Missing, Store

MOST_PROBLEMS = 100
"""A list of thousands would help nobody."""


def validate(
    store: Store, key: UUID, endpoint: str, *, most_bytes: int, most_lines: int, halted: Callable[[], bool]
) -> int | list[BatchProblem]:
    """How many requests the file holds, or what is wrong with it. ``halted`` ends it early. Blocks."""
    problems: list[BatchProblem] = []
    first_use: dict[str, int] = {}
    try:
        with open_file(store, key.hex) as file:
            for number, line in numbered(file, most_bytes):
                if halted() or len(problems) >= MOST_PROBLEMS:
                    break
                found = understand(number, line, endpoint)
                if isinstance(found, BatchProblem):
                    problems.append(found)
                elif (before := first_use.setdefault(found.custom_id, number)) != number:
                    message = f"The custom_id '{found.custom_id[:100]}' was used on line {before} already."
                    problems.append(BatchProblem("duplicate_custom_id", message, "custom_id", number))
                elif len(first_use) > most_lines:
                    return [BatchProblem("too_many_requests", f"A batch may hold {most_lines} requests at most.")]
    except Missing:
        return [BatchProblem("file_not_found", "The bytes of the input file are not on the server that runs batches.")]
    if not problems and not first_use:
        return [BatchProblem("empty_file", "The input file holds no request.")]
    return problems or len(first_use)
