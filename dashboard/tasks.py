"""The dashboard's control loop, as a Celery task."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from celery import shared_task
from channels.layers import get_channel_layer
from django.conf import settings

from dashboard.actions import live
from ollamamax.bus.connect import connect_async


@shared_task(name="dashboard.publish_live")
def publish_live() -> None:
    """Publish this second's frames; does nothing where another process does."""
    async_to_sync(_publish)()


async def _publish() -> None:
    async with connect_async(settings.REDIS_URL) as client:
        await live.publish_live(client, get_channel_layer())
