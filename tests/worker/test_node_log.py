"""A node tells its log when it is asked: bounded, numbered, without secrets; and lets go of what it runs."""

from __future__ import annotations

import random
import string

import pytest
import redis

from cluster.engines.build import EngineChoice
from cluster.worker.redaction import HIDDEN, redacted
from ollamamax import contract
from ollamamax.bus import keys
from ollamamax.contract.from_node import Nonsense, decode_node_log
from ollamamax.contract.node_log import MOST_LINE, MOST_LINES, LogLine, NodeLog, encode_node_log
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.log_ring import LogRing
from tests.worker.conftest import MakeNode, MakeStub

SECRET = "Zq7" + "x" * 20


@pytest.mark.parametrize(
    "line",
    [
        f"Authorization: Bearer {SECRET}",
        f'{{"authorization":"Bearer {SECRET}"}}',
        f'{{"api_key": "{SECRET}", "event": "x"}}',
        f"redis://node.1:{SECRET}@127.0.0.1:6379/0",
        f"GET /x?token={SECRET}&a=b",
        f"password = {SECRET}",
        f"omx_{SECRET}",
        f"omxn_{SECRET}",
        f"sk-{SECRET}",
        f"OLLAMA_API_KEY={SECRET}",
    ],
)
def test_what_looks_like_a_secret_leaves_no_node(line: str) -> None:
    told = redacted(line)
    assert SECRET not in told
    assert HIDDEN in told


def test_a_known_secret_is_taken_out_wherever_it_stands() -> None:
    chance = random.Random(3)
    for _ in range(200):
        around = "".join(chance.choices(string.printable, k=30))
        place = chance.randint(0, 30)
        assert SECRET not in redacted(around[:place] + SECRET + around[place:], [SECRET])


def test_a_plain_line_stays_as_it_is() -> None:
    line = '{"event":"request","prompt_tokens":12,"tokens_per_second":4.5,"level":"info"}'
    assert redacted(line, ["", "ab"]) == line


def test_the_ring_keeps_the_last_lines_with_their_numbers() -> None:
    ring = LogRing(3)
    for number in range(1, 6):
        ring.add(f"line {number}")
    assert ring.after(0, 10) == [(3, "line 3"), (4, "line 4"), (5, "line 5")]
    assert ring.after(4, 10) == [(5, "line 5")]
    assert ring.after(0, 2) == [(4, "line 4"), (5, "line 5")]


@pytest.mark.parametrize(
    "lines",
    [
        [LogLine(1, "x" * (MOST_LINE + 1))],
        [LogLine(number, "") for number in range(MOST_LINES + 1)],
        [LogLine(-1, "x")],
    ],
)
def test_more_than_is_agreed_is_nonsense(lines: list[LogLine]) -> None:
    with pytest.raises(Nonsense):
        decode_node_log(encode_node_log(NodeLog("agent", "b", lines)))
    with pytest.raises(Nonsense):
        decode_node_log(b"[]" * (1 << 20))


def test_a_real_node_tells_what_it_logged_and_follows(
    make_node: MakeNode, make_stub: MakeStub, admin: redis.Redis
) -> None:
    node = make_node(EngineChoice("openai", url=make_stub().url))
    node.wait_ready()

    def ask(source: str, after: int = 0) -> NodeLog:
        question = new_id()
        with admin.pubsub() as answers:
            answers.subscribe(keys.log_answer(node.id, question))
            answers.get_message(timeout=5)
            node.control(contract.Control("log", question, seq=after, source=source))  # type: ignore[arg-type]
            message = answers.get_message(ignore_subscribe_messages=True, timeout=20)
            while message is None:
                message = answers.get_message(ignore_subscribe_messages=True, timeout=20)
            return decode_node_log(message["data"])

    # A control that is none is logged.
    admin.publish(keys.node_control(node.id), b"nonsense")
    first = ask("agent")
    assert any("control_unreadable" in line.text for line in first.lines)
    last = first.lines[-1].number
    admin.publish(keys.node_control(node.id), b"nonsense")
    more = ask("agent", last)
    assert more.boot == first.boot
    assert more.lines
    assert all(line.number > last for line in more.lines)
    assert "started by others" in ask("engine").note
