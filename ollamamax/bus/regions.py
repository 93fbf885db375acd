"""The regions of an installation. Each has its own Redis: its directory, broker, channel layer and usage stream. Needs Django's settings."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import redis
from django.conf import settings

from ollamamax.bus import keys
from ollamamax.bus.connect import connect


@dataclass(frozen=True)
class Region:
    """``name`` is empty for the only region of an installation that names none."""

    name: str
    redis_url: str

    @property
    def client(self) -> redis.Redis:
        """This process's synchronous client of the region."""
        return _client(self.redis_url)

    def directory_number(self) -> int:
        """The number of the last change of the directory that was published there; -1 where none was. Raises `RedisError`."""
        return int(self.client.get(keys.DIRECTORY_VERSION) or -1)


def own() -> Region:
    """The one that this process is in."""
    return Region(settings.ENV["OLLAMAMAX_REGION"], settings.REDIS_URL)


def every() -> list[Region]:
    """Where the control plane publishes what the data plane needs, and whose loops it runs; this process's own first."""
    others: dict[str, str] = settings.ENV["OLLAMAMAX_OTHER_REGIONS"] or {}
    return [own(), *(Region(name, url) for name, url in others.items())]


@functools.cache
def _client(url: str) -> redis.Redis:
    return connect(url)
