"""The control plane's Celery application: its loops and their schedule. Nodes have their own, in `cluster.worker`."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ollamamax.settings")

from django.conf import settings

from ollamamax.bus.connect import broker_url

CONTROL_QUEUE = "control"


def _every(task: str, seconds: float) -> dict[str, object]:
    # A tick that waited longer than its period has been overtaken by the next one.
    return {"task": task, "schedule": seconds, "options": {"queue": CONTROL_QUEUE, "expires": max(seconds, 2.0)}}


app = Celery("ollamamax", broker=broker_url(settings.REDIS_URL))
app.conf.update(
    task_default_queue=CONTROL_QUEUE,
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_acks_late=False,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    timezone="UTC",
    redbeat_redis_url=settings.REDIS_URL,
    redbeat_key_prefix="omx:beat:",
    redbeat_lock_timeout=5,
    beat_scheduler="redbeat.RedBeatScheduler",
    beat_max_loop_interval=1,
    beat_schedule={
        "publish-directory": _every("identity.publish_directory", 5.0),
        "remove-ended": _every("identity.remove_ended", 60.0),
        "note-heads": _every("audit.note_heads", 10.0),
        "write-usage": _every("metering.write_usage", 1.0),
        "keep-usage": _every("metering.keep_usage", 600.0),
        "observe-nodes": _every("cluster.observe_nodes", 2.0),
        "guard-nodes": _every("cluster.guard_nodes", 1.0),
        "settle-lost": _every("cluster.settle_lost", 1.0),
        "reconcile-replicas": _every("models_registry.reconcile_replicas", 2.0),
        "run-jobs": _every("models_registry.run_jobs", 1.0),
        "collect-garbage": _every("models_registry.collect_garbage", 30.0),
        "publish-live": _every("dashboard.publish_live", 1.0),
    },
)
app.autodiscover_tasks()
