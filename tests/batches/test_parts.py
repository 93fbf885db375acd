"""The parts of a runner that decide, one by one."""

from __future__ import annotations

import asyncio
import datetime
import io
import json

import pytest

from ollamamax.batches.names import BATCH, FILE, id_of
from ollamamax.batches.runner import lines
from ollamamax.batches.runner.patience import MOST, PAUSES, pause_after, pause_for_room
from ollamamax.batches.runner.room import Room
from ollamamax.batches.window import span
from ollamamax.gateway.whole_response import WholeResponse
from ollamamax.kernel.errors import InvalidRequest
from tests.patience import LONG


def answer(status: int, retry_after: float | None = None, code: str = "x") -> WholeResponse:
    return WholeResponse(status, "r", retry_after, json.dumps({"error": {"code": code}}).encode())


def test_a_lack_of_room_is_waited_out_as_the_gateway_says() -> None:
    assert [pause_for_room(answer(429, 3), refusals) for refusals in range(4)] == [0.05, 0.1, 0.2, 0.4]
    assert pause_for_room(answer(429, 3), 20) == 3
    assert pause_for_room(answer(503), 20) == 2
    assert pause_for_room(answer(429, 600), 9999) == MOST
    assert [pause_for_room(answer(status), 0) for status in (200, 400, 404, 500, 502, 504)] == [None] * 6


def test_a_failure_that_may_pass_is_tried_again_some_times() -> None:
    for passing in (answer(500), answer(502), answer(404, code="model_not_found")):
        assert [pause_after(passing, failures) for failures in range(4)] == [*PAUSES, None]
    for standing in (answer(200), answer(400), answer(404), answer(504), WholeResponse(404, "r", None, b"not json")):
        assert pause_after(standing, 0) is None


async def test_who_waits_for_room_is_woken_in_turn_and_only_for_the_same_model() -> None:
    room, woken = Room(), []

    async def wait(name: str, model: str, seconds: float = LONG) -> None:
        await room.wait(("t", model), seconds)
        woken.append(name)

    tasks = [asyncio.create_task(wait(*each)) for each in (("a", "x"), ("b", "x"), ("c", "y"))]
    await asyncio.sleep(0.01)
    room.freed(("t", "x"))
    room.freed(("t", "nobody"))
    await asyncio.sleep(0.01)
    assert woken == ["a"]
    room.freed(("t", "x"))
    room.freed(("t", "x"))
    room.freed(("t", "y"))
    await asyncio.wait_for(asyncio.gather(*tasks), LONG)
    assert woken == ["a", "b", "c"]
    await wait("late", "x", 0.01)
    tasks = [asyncio.create_task(wait(*each)) for each in (("gone", "x"), ("next", "x"))]
    await asyncio.sleep(0.01)
    tasks[0].cancel()
    await asyncio.sleep(0.01)
    room.freed(("t", "x"))
    await asyncio.wait_for(tasks[1], LONG)
    assert not room._waiting


def test_lines_keep_their_numbers_over_blank_and_long_ones() -> None:
    file = io.BytesIO(b"one\n\n  \n" + b"x" * 50 + b"\nfive\r\n" + b"y" * 10)
    assert list(lines.numbered(file, 10)) == [(1, b"one"), (4, None), (5, b"five"), (6, b"y" * 10)]


def test_names_are_read_strictly() -> None:
    digits = "0" * 31 + "a"
    assert id_of(f"file-{digits}", FILE) is not None
    for wrong in (f"batch_{digits}", digits, f"file-{digits}0", "file-" + "g" * 32, "", "file-" + "0-" * 16):
        assert id_of(wrong, FILE) is None
    assert id_of(f"batch_{digits}", BATCH) is not None


@pytest.mark.parametrize(("text", "hours"), [("24h", 24), ("90m", 1.5), ("7d", 168), ("3600s", 1), ("14d", 336)])
def test_windows_are_spans(text: str, hours: float) -> None:
    assert span(text) == datetime.timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "24", "h", "0h", "-1h", "1.5h", "24 h", "15d", "99999h", "²h"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        span(text)
