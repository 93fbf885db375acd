"""The control plane's one Redis client in a process. Synchronous; needs Django's settings."""

from __future__ import annotations

import functools

import redis
from django.conf import settings

from ollamamax.bus.connect import connect


@functools.cache
def client() -> redis.Redis:
    return connect(settings.REDIS_URL)
