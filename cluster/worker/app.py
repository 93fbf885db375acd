"""The node's Celery application: one queue, JSON only, nothing that needs more of Redis than the node's user may."""

from __future__ import annotations

import faulthandler
import signal
import sys
from types import FrameType
from typing import Any

from celery import Celery, signals
from kombu.entity import Exchange, Queue

from cluster.worker import agent as agents
from cluster.worker.agent import Agent
from cluster.worker.identity import Identity
from ollamamax.bus import keys
from ollamamax.bus.broker import broker_options, broker_url

THREADS = 4
STOP_SECONDS = 20.0
"""Beyond the grace time, for everything else that a stop takes; then the process ends by itself."""
TASKS = ("cluster.worker.tasks", "models_registry.worker.tasks")
"""Modules of tasks. By name: the registry lies above the cluster, and its node part uses ours."""


def build(identity: Identity) -> Celery:
    """The application of one node, as current application."""
    queue = keys.node_queue(identity.node)
    app = Celery(
        "ollamamax-node",
        broker=broker_url(identity.redis_url),
        include=list(TASKS),
        set_as_current=True,
        fixups=[],  # Celery's own would load Django where the host's environment names some settings
    )
    app.conf.update(
        task_queues=[Queue(queue, Exchange(queue), routing_key=queue)],  # type: ignore[no-untyped-call]
        task_default_queue=queue,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=False,
        result_backend=None,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=keys.node_transport_options(identity.node)
        | broker_options(identity.redis_url)
        | {"socket_keepalive": True, "health_check_interval": 10, "socket_connect_timeout": 3},
        timezone="UTC",
    )
    return app


def serve(app: Celery, agent: Agent) -> int:
    """Run the agent and the Celery worker until a signal; the exit status."""

    def on_setup_logging(**_: Any) -> None:
        """Keep our own logging: a connected receiver is all that Celery asks for."""

    def on_shutdown(**_: Any) -> None:
        agent.begin_stop()
        # Celery waits without limit for its connections and threads. Where that hangs, the stacks say where.
        faulthandler.dump_traceback_later(agent.grace + STOP_SECONDS, exit=True)

    def on_early_signal(_number: int, _frame: FrameType | None) -> None:
        sys.exit(0)

    signals.setup_logging.connect(on_setup_logging)
    signals.worker_shutting_down.connect(on_shutdown)
    # Until Celery sets its own.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_early_signal)
    # The modules of tasks also say what an agent does when it starts.
    app.loader.import_default_modules()
    agent.start()
    agents.current = agent
    try:
        worker = app.Worker(
            pool="threads",
            concurrency=THREADS,
            hostname=f"{agent.identity.node}@node",
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
            loglevel="WARNING",
        )
        worker.start()
        status: int | None = worker.exitcode
    finally:
        agent.begin_stop()
        agent.join()
        agents.current = None
    return 1 if agent.failed else status or 0
