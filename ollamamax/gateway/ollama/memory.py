"""Models come into memory and leave it: a request without a prompt, as in Ollama; and the list of those that are there."""

from __future__ import annotations

import time

from ollamamax.contract import ModelState, NodeState, bounds
from ollamamax.contract.tables import NODES, Details
from ollamamax.gateway import catalog, http, relay
from ollamamax.gateway.asked import Asked, Output, Render
from ollamamax.gateway.call import Call
from ollamamax.gateway.execution import Execution
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.interruptions import Interruptions
from ollamamax.gateway.ollama import responses
from ollamamax.gateway.ollama.requests import only_memory
from ollamamax.gateway.run import Client, run
from ollamamax.gateway.service import Service
from ollamamax.kernel import errors

NEVER = "2318-01-01T00:00:00Z"
"""What Ollama says of a model that stays, and we also of one in use: its time begins to run afterwards."""


async def answer(service: Service, call: Call, asked: Asked, client: Client, render: Render) -> None:
    """As `run`; but a model is unloaded from all nodes that have it."""
    (inference,) = asked.inferences
    if only_memory(inference) and inference.keep_alive == 0:
        await _unload(service, call, asked, client, render)
    else:
        await run(service, call, asked, client, render)


async def _unload(service: Service, call: Call, asked: Asked, client: Client, render: Render) -> None:
    """Take the model out of memory on every node of the tenant itself that has it there; running requests end first.

    When none says that it has, one that could is asked all the same: what a node says may be a second old.
    """
    listed = catalog.resolve(service.directory, call.principal, asked.model)
    fleet = service.dispatcher.fleet
    own = {state.node: state for state in fleet.states(call.principal.tenant or "")}
    having = {node for node in own if fleet.engine_name(node, listed.version)}
    if not having:
        raise errors.Unavailable(
            f"None of your own nodes has the model '{asked.model}'; where nodes are shared, it stays for all.",
            model=asked.model,
        )
    everywhere = {node for node, _ in service.directory.items(NODES)}
    renderer, headers = render(asked, call, asked.model), call.headers()
    outputs: list[Output] = []
    with Interruptions(call, client.left, service.deadline) as interruptions:
        for nodes in [{node} for node in having if _loaded(own[node], listed.version)] or [having]:
            # Each is admitted and recorded by itself.
            each = call if not outputs else call.again()
            execution = Execution(service.dispatcher, interruptions, each, asked.model, listed, asked.inferences[0])
            execution.request.tried |= everywhere - nodes
            async with execution:
                outputs.append(await relay.gather(execution))
                if each is call:
                    headers += execution.headers()
    await client.respond(200, renderer.whole(outputs), headers)


async def ps(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    """All nodes of the tenant itself, by their own last word; a model that two nodes have loaded is there twice."""
    tenant = call.principal.tenant or ""
    names: dict[str, str] = {}
    details: dict[str, Details] = {}
    for name, listed in catalog.names(service.directory, call.principal):
        if not listed.alias_of:
            names.setdefault(listed.version, name)
        details[listed.version] = listed.details
    found = []
    for state in sorted(service.dispatcher.fleet.states(tenant), key=lambda state: state.node):
        for model in state.models:
            if model.state == "loaded":
                name = names.get(model.version, model.name)
                row = _row(name, model, state, details.get(model.version, Details()))
                found.append(row | {"node": service.dispatcher.fleet.name(state.node)})
    await http.respond(send, 200, http.encode({"models": found}), call.headers())


def _row(name: str, model: ModelState, state: NodeState, details: Details) -> dict[str, object]:
    row: dict[str, object] = {
        "name": name,
        "model": name,
        "size": model.memory or model.size or 0,
        "digest": model.version.removeprefix("sha256:"),
        "details": responses.described(details),
        "expires_at": _expires_at(model),
    }
    vram = model.vram if model.vram is not None or state.gpus else 0
    if vram is not None:
        row["size_vram"] = vram
    if model.context_length is not None:
        row["context_length"] = model.context_length
    return row


def _expires_at(model: ModelState) -> str:
    """By this process's clock, where the node tells how long it is until then."""
    moment = model.expires_at if model.expires_in is None else time.time() + model.expires_in
    # What a node says may be no time at all.
    return NEVER if moment is None or not 0 <= moment < bounds.END_OF_TIME else responses.timestamp(moment)


def _loaded(state: NodeState, version: str) -> bool:
    return any(model.version == version and model.state in {"loaded", "loading"} for model in state.models)
