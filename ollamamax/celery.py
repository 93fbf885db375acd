"""The control plane's Celery application, by which it sends tasks to nodes. Nodes have their own, in `cluster.worker`."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ollamamax.settings")

from ollamamax.bus import regions
from ollamamax.bus.broker import broker_options, broker_url

app = Celery("ollamamax", broker=broker_url(regions.own().redis_url))
app.conf.update(
    task_serializer="json",
    task_ignore_result=True,
    timezone="UTC",
    broker_transport_options=broker_options(regions.own().redis_url),
)
