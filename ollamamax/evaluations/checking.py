"""Whether an answer passes a check, as far as the answer alone says it; a judge and embeddings are asked for elsewhere. Pure, but for the JSON schema,
which is checked in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ollamamax.evaluations.cases import EvaluationCheck, compiled
from ollamamax.kernel.tasks import end

SECONDS = 60.0
"""In which a schema process has to end; its processor time is bounded besides, by itself."""
MOST_DETAIL = 500
_PROGRAM = Path(__file__).with_name("schema_process.py")


class CheckImpossible(Exception):
    """The check itself cannot be made: nothing is said of the answer. ``args[0]`` is a sentence."""


@dataclass(frozen=True)
class CheckOutcome:
    """``detail`` says in a sentence why it failed; ``value`` is a grade or a distance."""

    kind: str
    passed: bool
    detail: str = ""
    value: float | None = None

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"kind": self.kind, "passed": self.passed, "detail": self.detail[:MOST_DETAIL]}
        return told if self.value is None else {**told, "value": self.value}


def exact(check: EvaluationCheck, answer: str) -> CheckOutcome:
    said, expected = answer.strip(), check.expected.strip()
    if check.ignore_case:
        said, expected = said.casefold(), expected.casefold()
    return CheckOutcome("exact", said == expected, "" if said == expected else "The answer is another text.")


def regex(check: EvaluationCheck, answer: str) -> CheckOutcome:
    found = compiled(check.pattern).search(answer) is not None
    passed = found != check.absent
    detail = "" if passed else ("The pattern is found." if found else "The pattern is not found.")
    return CheckOutcome("regex", passed, detail)


def distance(check: EvaluationCheck, one: Sequence[float], other: Sequence[float]) -> CheckOutcome:
    """Raises `CheckImpossible` for embeddings that have no direction, or not as many numbers as each other."""
    found = cosine_distance(one, other)
    passed = found <= check.most
    return CheckOutcome("distance", passed, "" if passed else f"The distance is above {check.most:g}.", found)


def cosine_distance(one: Sequence[float], other: Sequence[float]) -> float:
    """1 minus the cosine: 0 for the same direction, 2 for the opposite one. Raises `CheckImpossible`."""
    if len(one) != len(other) or not one:
        raise CheckImpossible(f"Embeddings of {len(one)} and {len(other)} numbers cannot be compared.")
    lengths = math.hypot(*one) * math.hypot(*other)
    if not math.isfinite(lengths) or lengths == 0:
        raise CheckImpossible("An embedding has no direction: all its numbers are 0, or one is none.")
    cosine = math.fsum(a * b for a, b in zip(one, other, strict=True)) / lengths
    return min(2.0, max(0.0, 1.0 - cosine))


async def json_schema(check: EvaluationCheck, answer: str) -> CheckOutcome:
    """In a process with bounds on its time and memory: a schema of a tenant may ask for more than there is. Raises `CheckImpossible`."""
    given = msgspec.json.encode({"schema": check.schema, "answer": answer})
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(_PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    talking = asyncio.create_task(process.communicate(given))
    try:
        async with asyncio.timeout(SECONDS):
            written, _ = await asyncio.shield(talking)
    except TimeoutError:
        raise CheckImpossible("The JSON schema takes too long to check.") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await end([talking])
            await process.wait()
    if process.returncode == -signal.SIGXCPU:
        raise CheckImpossible("The JSON schema takes too long to check.")
    try:
        told = msgspec.json.decode(written)
    except msgspec.DecodeError:
        raise CheckImpossible(
            f"The process that checks JSON schemas ended with code {process.returncode}, and said nothing."
        ) from None
    if "impossible" in told:
        raise CheckImpossible(told["impossible"])
    return CheckOutcome("json_schema", told["passed"], told["detail"])
