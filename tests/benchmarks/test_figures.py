"""The arithmetic behind the figures, and what counts as a broken stream."""

from __future__ import annotations

import pytest

from benchmarks import ways
from benchmarks.client import Result, check, expected_text
from benchmarks.fairness import jain
from benchmarks.load import quantile, spread

OK = b"HTTP/1.1 200 OK"


def stream(*texts: str, end: str = "data: [DONE]\n\n") -> bytes:
    return (
        "".join(f'data: {{"choices":[{{"delta":{{"content":"{text}"}}}}]}}\n\n' for text in texts).encode()
        + end.encode()
    )


def test_a_stream_with_every_token_in_its_place_is_right_however_it_was_batched() -> None:
    assert check(OK, stream("t0 ", "t1 t2 "), expected_text(3)) == ""


@pytest.mark.parametrize(
    "body",
    [
        stream("t0 ", "t2 "),
        stream("t0 ", "t1 ", "t1 ", "t2 "),
        stream("t0 ", "t2 ", "t1 "),
        stream("t0 ", "t1 ", "t2 ", end=""),
        b"",
    ],
    ids=["lost", "doubled", "swapped", "cut off", "empty"],
)
def test_a_broken_stream_is_noticed(body: bytes) -> None:
    assert check(OK, body, expected_text(3)) != ""


def test_an_error_is_no_stream_even_with_the_right_text() -> None:
    assert check(b"HTTP/1.1 502 Bad Gateway", stream("t0 "), expected_text(1)) != ""


def test_a_whole_answer_is_read_though_a_chunk_ends_within_a_token() -> None:
    head = OK + b"\r\nTransfer-Encoding: chunked"
    body = b'13\r\n{"content":"t0 t1 t\r\n4\r\n2 "}\r\n0\r\n\r\n'
    assert check(head, body, expected_text(3), stream=False) == ""
    assert check(head, body.replace(b"t1", b"t2"), expected_text(3), stream=False) != ""


def _result(*first_token: float, wrong: int = 0) -> Result:
    return Result(2.0, list(first_token), list(first_token), 0, wrong, "lost" if wrong else "")


def test_ways_are_compared_round_by_round_and_failures_are_told() -> None:
    found = [ways.Way(ways.DIRECT), ways.Way("ours"), ways.Way("theirs", problem="it is not there")]
    results = {
        (ways.ALONE.name, ways.DIRECT): [_result(0.001), _result(0.003)],
        (ways.ALONE.name, "ours"): [_result(0.003), _result(0.004, wrong=1)],
        (ways.TESTS[1].name, ways.DIRECT): [_result(1, 1, 1, 1)],
        (ways.TESTS[1].name, "ours"): [_result(1, 1)],
        (ways.TOGETHER.name, ways.DIRECT): [_result(0.01)],
        (ways.TOGETHER.name, "ours"): [_result(0.018)],
        (ways.PACED.name, ways.DIRECT): [_result(0.01)],
        (ways.PACED.name, "ours"): [_result()],
    }
    measured = ways.Measured(found, results, {"ours": {"web": 100.0, "node": 50.0}})
    assert ways.added(measured, ways.ALONE.name, "ours", 0.5) == pytest.approx([2.0, 1.0])
    assert ways.ratio(measured, ways.TESTS[1].name, "ours", ways.DIRECT) == 0.5
    assert ways.ratio(measured, ways.TESTS[1].name, "ours", "theirs") is None
    text = ways.report(measured)
    assert "| ours | 1.5 (1.0 to 2.0) | 1.5 (1.0 to 2.0) | 1 (1 to 1) | failed |" in text
    assert "| theirs | not measured: it is not there |" in text
    assert "| ours | 150 | web 100, node 50 |" in text
    assert "ours, 1 client, streams: 1 of 3 answers wrong or missing (lost)." in text


def test_a_quantile_is_one_of_the_values() -> None:
    values = [float(n) for n in range(1, 101)]
    assert quantile(values, 0.5) == 51.0
    assert quantile(values, 0.99) == 100.0
    assert quantile([3.0], 0.99) == 3.0


def test_rounds_are_told_by_their_median_least_and_most() -> None:
    assert spread([3.0, 1.0, 2.0]) == "2.00 (1.00 to 3.00)"
    assert spread([]) == "-"


def test_jains_index_is_one_for_equals_and_one_nth_for_one_that_has_all() -> None:
    assert jain([5, 5, 5, 5]) == 1
    assert jain([8, 0, 0, 0]) == 0.25
