"""Tells live WebSockets that what they were let in with may have ended. They look themselves whether it has."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

import redis
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

from ollamamax import logs

RECHECK = {"type": "live.recheck"}
_log = logs.get(__name__)


def group_of(user: str) -> str:
    """The group of a user's sockets (UUID as hex), in whatever tenant."""
    return f"user.{user}"


def recheck_on_commit(users: Iterable[uuid.UUID]) -> None:
    """After the commit. When Redis is away this only logs: sockets look by themselves every few seconds."""
    groups = [group_of(user.hex) for user in users]
    transaction.on_commit(lambda: _tell(groups), robust=True)


def _tell(groups: list[str]) -> None:
    layer = get_channel_layer()
    try:
        for group in groups:
            async_to_sync(layer.group_send)(group, RECHECK)
    except (redis.RedisError, OSError) as error:
        _log.warning("sockets_not_told", users=len(groups), error=type(error).__name__)
