"""A question in Redis: its first answer, within its time, and no more of it than was said is ever read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from redis.exceptions import RedisError

from ollamamax.bus.link import BoundedLink
from ollamamax.bus.question import first_answer
from tests.patience import LONG

MOST = 1 << 20


@contextmanager
def answering(valkey: redis.Redis, *answers: bytes) -> Iterator[None]:
    """Somebody who hears the question and publishes these."""
    with valkey.pubsub() as heard:
        heard.subscribe("question")
        heard.get_message(timeout=LONG)

        def answer() -> None:
            if heard.get_message(ignore_subscribe_messages=True, timeout=LONG) is not None:
                for each in answers:
                    valkey.publish("answer", each)

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        thread.join(LONG)


def ask(redis_url: str, seconds: float = LONG) -> bytes | None:
    return first_answer(redis_url, "question", b"?", heard_on="answer", seconds=seconds, most=MOST)


def test_the_first_answer_counts(valkey: redis.Redis, redis_url: str) -> None:
    with answering(valkey, b"first", b"second"):
        assert ask(redis_url) == b"first"
    with answering(valkey, b"x" * MOST):
        assert len(ask(redis_url) or b"") == MOST


def test_nobody_who_hears_and_nobody_who_answers_is_none(valkey: redis.Redis, redis_url: str) -> None:
    assert ask(redis_url) is None
    with answering(valkey):
        assert ask(redis_url, 0.05) is None


def test_of_an_answer_that_is_too_long_no_more_is_read_than_was_said(
    valkey: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    before = BoundedLink.data_received

    def counted(self: BoundedLink, data: bytes) -> None:
        read.append(len(data))
        before(self, data)

    monkeypatch.setattr(BoundedLink, "data_received", counted)
    with answering(valkey, b"x" * (24 * MOST)), pytest.raises(RedisError):
        ask(redis_url)
    assert sum(read) < 2 * MOST
