"""What a ticket may do to its node's memory: load and unload the model, and say how long it stays. Generates nothing."""

from __future__ import annotations

from cluster.engines.base import EngineAdapter
from ollamamax import contract
from ollamamax.kernel.errors import ModelNotFound


def leave_out_keep_alive(ticket: contract.Ticket, owner: str) -> bool:
    """Take ``keep_alive`` out of a ticket of another tenant than ``owner``, whose node this is; whether there was one.

    Others use the model here, too: one of them neither evicts it nor pins it. Decided here, because where a request
    runs may change until it runs. Raises `ModelNotFound` for a ticket that only unloads, so that it is tried elsewhere.
    """
    inference = ticket.inference
    if inference.keep_alive is None or ticket.tenant == owner:
        return False
    if inference.keep_alive == 0 and _is_empty(inference):
        raise ModelNotFound(f"This node is shared: {ticket.model} stays in its memory for all.", param="model")
    inference.keep_alive = None
    return True


async def load_or_unload(engine: EngineAdapter, ticket: contract.Ticket) -> contract.Final | None:
    """A chat without messages or a completion without a prompt loads the model, or with ``keep_alive`` 0 unloads it."""
    inference = ticket.inference
    if not _is_empty(inference):
        return None
    if inference.keep_alive == 0:
        await engine.unload(ticket.version, ticket.model)
        return contract.Final("unload")
    took = await engine.load(ticket.version, ticket.model, inference.keep_alive, ticket.load, inference.options.num_ctx)
    return contract.Final("load", load_ms=took, total_ms=took)


def _is_empty(inference: contract.Inference) -> bool:
    given = inference.messages or inference.prompt or inference.prompt_ids or inference.suffix or inference.inputs
    return not given and inference.kind in {"chat", "completion"}
