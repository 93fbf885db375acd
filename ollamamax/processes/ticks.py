"""Sends the control loops' ticks, for ever: Celery's beat, started again whenever Redis was away."""

from __future__ import annotations

import threading

from celery import Celery
from celery.beat import Service
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from ollamamax import logs

PAUSE = 1.0
"""Seconds before another try."""
_log = logs.get(__name__)


class Ticks:
    """Celery's own embedded beat ends at the first broken connection, and nothing says so."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._service: Service | None = None
        self._stopping = threading.Event()

    def run(self) -> None:
        """Returns after `stop`."""
        while not self._stopping.is_set():
            # Without being told, the service would keep its schedule in a file, and hold no lock.
            self._service = Service(self._app, scheduler_cls=self._app.conf.beat_scheduler)
            try:
                self._service.start()
            except (RedisError, OperationalError, OSError) as error:
                _log.warning("ticks_wait_for_redis", error=str(error))
                self._stopping.wait(PAUSE)

    def stop(self) -> None:
        self._stopping.set()
        if self._service is not None:
            self._service.stop()

    def in_background(self) -> None:
        threading.Thread(target=self.run, name="ticks", daemon=True).start()
