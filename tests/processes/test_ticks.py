"""The ticks of the control loops go on after Redis was away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from celery import Celery

from ollamamax.embedded import valkey
from ollamamax.processes.ticks import Ticks
from tests.servers import free_port


def wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)


def test_ticks_go_on_after_redis_was_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    port = free_port()
    server = valkey.Temporary(tmp_path, port)
    app = Celery("ticking", broker=server.url)
    app.conf.update(
        redbeat_redis_url=server.url,
        redbeat_lock_timeout=5,
        beat_scheduler="redbeat.RedBeatScheduler",
        beat_max_loop_interval=1,
        beat_schedule={"one": {"task": "one", "schedule": 1.0, "options": {"queue": "ticks"}}},
    )
    ticks = Ticks(app)
    thread = threading.Thread(target=ticks.run)
    thread.start()
    try:
        client = redis.Redis.from_url(server.url)
        wait(lambda: client.llen("ticks") >= 2)
        assert client.exists("redbeat::lock"), "a second beat would tick beside this one"
        server.process.kill()
        server.process.wait()
        server = valkey.Temporary(tmp_path, port)
        wait(lambda: client.llen("ticks") >= 2)
    finally:
        ticks.stop()
        thread.join(20)
        server.stop()
    assert not thread.is_alive()
    assert not list(tmp_path.glob("celerybeat*"))
