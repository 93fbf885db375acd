"""A question that is published in Redis, and its first answer, which is waited for only so long."""

from __future__ import annotations

import time
from typing import cast

import redis


def first_answer(client: redis.Redis, channel: str, question: bytes, *, heard_on: str, seconds: float) -> bytes | None:
    """Publish ``question`` on ``channel``, and take what is then first published on ``heard_on``, which is that question's alone.

    ``None`` where nobody hears the question, or nobody answers within ``seconds``. Raises `RedisError`.
    """
    with client.pubsub(ignore_subscribe_messages=False) as answers:
        answers.subscribe(heard_on)
        answers.get_message(timeout=seconds)
        heard = client.publish(channel, question)
        end = time.monotonic() + seconds
        while heard and (left := end - time.monotonic()) > 0:
            message = answers.get_message(ignore_subscribe_messages=True, timeout=left)
            if message is not None:
                return cast("bytes", message["data"])
    return None
