"""The registry's tasks on a node. They return at once: a download must not keep Celery's threads from the inbox."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from cluster.engines.ollama import Verb
from cluster.worker.tasks import the_agent
from models_registry.worker.library import library_of
from models_registry.worker.orders import orders_of


@shared_task(name="models_registry.fetch_version")
def fetch_version(version: str, name: str, manifest: dict[str, Any], base_url: str = "") -> None:
    """Have a version on this node's disk, verified. The node's state tells how far it is."""
    agent = the_agent()

    async def work() -> None:
        await library_of(agent).fetch(version, name, manifest, base_url)

    agent.submit(work()).result()


@shared_task(name="models_registry.stop_fetch")
def stop_fetch(version: str) -> None:
    """Break off the transfer of a version. What came so far stays."""
    agent = the_agent()

    async def work() -> None:
        await library_of(agent).stop(version)

    agent.submit(work()).result()


@shared_task(name="models_registry.remove_version")
def remove_version(version: str) -> None:
    """Take a version off this node. Running requests end first."""
    agent = the_agent()

    async def work() -> None:
        await library_of(agent).remove(version)

    agent.submit(work())


@shared_task(name="models_registry.return_blob")
def return_blob(digest: str, base_url: str = "") -> None:
    """Send a blob back to the control plane, which lost it. Returns at once."""
    agent = the_agent()

    async def work() -> None:
        await library_of(agent).return_blob(digest, base_url)

    agent.submit(work())


@shared_task(name="models_registry.order_of_engine")
def order_of_engine(order: str, verb: Verb, body: dict[str, Any]) -> None:
    """Let the node's engine change the models that it keeps by itself. Returns at once; Redis tells how it goes."""
    agent = the_agent()

    async def work() -> None:
        orders_of(agent).begin(order, verb, body)

    agent.submit(work()).result()


@shared_task(name="models_registry.cancel_order")
def cancel_order(order: str) -> None:
    """Break off what `order_of_engine` began, where it still runs."""
    agent = the_agent()

    async def work() -> None:
        orders_of(agent).cancel(order)

    agent.submit(work()).result()
