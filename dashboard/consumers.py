"""Doors of the live events: who may enter is checked before a group is joined, and again while they stay."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from dashboard import groups
from dashboard.payloads import encode
from dashboard.queries import live
from dashboard.queries.viewer import find_viewer
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.bus.connect import connect_async
from ollamamax.identity.sockets import group_of
from ollamamax.kernel.principal import Principal

UNAUTHENTICATED = 4401
FORBIDDEN = 4403
PERMISSIONS = ("node.view", "usage.view")
RECHECK_SECONDS = 5.0
WATCHED_SECONDS = 15.0
SEND_SECONDS = 5.0
"""A client that takes nothing for so long is dropped: what it missed is not kept for it."""

_log = logs.get(__name__)


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc] # channels has no types
    """The live page of one tenant: a snapshot, then the frames that follow it."""

    async def connect(self) -> None:
        self._recheck: asyncio.Task[None] | None = None
        self._closed = False
        self._sequence = 0
        await self.accept()
        viewer = await self._viewer()
        if viewer is None or viewer.tenant is None:
            await self._leave(UNAUTHENTICATED if viewer is None else FORBIDDEN)
            return
        self._principal = viewer
        self._groups = (groups.live(viewer.tenant), group_of(viewer.id))
        async with connect_async(settings.REDIS_URL) as client:
            await self._join(client, viewer.tenant)
            snapshot = await live.snapshot(client, viewer.tenant, time.time())
        self._sequence = snapshot.seq
        await self._send(encode(snapshot).decode())
        self._told = asyncio.Event()
        self._recheck = asyncio.create_task(self._watch(viewer.tenant), name="live-recheck")

    async def live_frame(self, message: dict[str, Any]) -> None:
        """A frame from the group. Those that the snapshot holds already are left out."""
        if message["seq"] > self._sequence:
            await self._send(message["text"])

    async def live_recheck(self, message: dict[str, Any]) -> None:
        """Something about the user or their sessions has changed: look now what it is."""
        del message
        if self._recheck is not None:
            self._told.set()

    async def disconnect(self, code: int) -> None:
        await self._forget()

    async def _viewer(self) -> Principal | None:
        """Who looks, if their session is good now; without a tenant when they may not look."""
        principal: Principal | None = await database_sync_to_async(find_viewer)(self.scope["session"].session_key)
        if principal is None or all(principal.may(permission) for permission in PERMISSIONS):
            return principal
        return Principal(kind=principal.kind, id=principal.id, tenant=None, name=principal.name)

    async def _join(self, client: Any, tenant: str) -> None:
        # Membership of a group lapses after a day, and watching after some seconds: both are renewed while it is open.
        for group in self._groups:
            await self.channel_layer.group_add(group, self.channel_name)
        await client.zadd(keys.LIVE_WATCHED, {tenant: time.time() + WATCHED_SECONDS})

    async def _watch(self, tenant: str) -> None:
        """Close when the session ends, the user is disabled, or their rights or tenant change."""
        code = 1011
        try:
            async with connect_async(settings.REDIS_URL) as client:
                while True:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(RECHECK_SECONDS):
                            await self._told.wait()
                    self._told.clear()
                    viewer = await self._viewer()
                    if viewer is None or viewer.tenant != tenant:
                        code = UNAUTHENTICATED if viewer is None else FORBIDDEN if viewer.tenant is None else 1012
                        break
                    await self._join(client, tenant)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - rights that cannot be checked are rights that are not given
            _log.warning("live_recheck_failed", error=type(error).__name__)
        await self._leave(code)

    async def _send(self, text: str) -> None:
        if self._closed:
            return
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.send(text_data=text)
        except TimeoutError:
            _log.info("live_client_too_slow", user=self._principal.id)
            await self._forget()
            raise StopConsumer from None

    async def _leave(self, code: int) -> None:
        self._closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SEND_SECONDS):
                await self.close(code)

    async def _forget(self) -> None:
        self._closed = True
        if self._recheck is not None:
            self._recheck.cancel()
            self._recheck = None
        for group in getattr(self, "_groups", ()):
            await self.channel_layer.group_discard(group, self.channel_name)
