"""The node's Celery tasks: doors to the agent. Celery's thread waits for the agent's loop; it runs nothing itself."""

from __future__ import annotations

from celery import shared_task

from cluster.worker import agent as agents
from cluster.worker.agent import Agent
from ollamamax import logs
from ollamamax.contract import Load

log = logs.get("cluster.worker.tasks")


def the_agent() -> Agent:
    """The agent of this process."""
    if agents.current is None:
        raise RuntimeError("no agent runs in this process")
    return agents.current


@shared_task(name="cluster.drain_inbox")
def drain_inbox() -> None:
    """Take tickets from the inbox as long as there are any; a second one at the same time is harmless."""
    agent = the_agent()
    agent.submit(agent.drain()).result()


@shared_task(name="cluster.load_model")
def load_model(
    version: str,
    name: str = "",
    keep_alive: float | None = None,
    num_ctx: int | None = None,
    num_gpu: int | None = None,
) -> None:
    """Bring a version into memory, with what its profile fixes. Returns at once; the node's state tells how it went."""
    agent = the_agent()
    agent.submit(agent.load(version, name, keep_alive, Load(num_ctx, num_gpu)))


@shared_task(name="cluster.unload_model")
def unload_model(version: str, name: str = "") -> None:
    """Take a version out of memory when its running requests have ended. Returns at once."""
    agent = the_agent()
    agent.submit(agent.unload(version, name))
