"""The trace of one request of a client, made when it has ended: gateway, queue, each attempt, and what its node said of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from cluster.dispatch.request import Request
from ollamamax.contract import AttemptRecord, Outcome
from ollamamax.kernel import trace
from ollamamax.observability import tracing
from ollamamax.observability.tracing import SpanFacts, Value

NODE = "ollamamax-node"


def ended(
    traceparent: str,
    parent: str | None,
    api: str,
    tenant: str,
    requests: Sequence[Request],
    received_at: float,
    outcome: Outcome,
    code: str,
    status: int,
) -> str:
    """Send the trace of one that ended, if it is one that is traced: its trace's id, else ``""``. ``parent``: the client's own ``traceparent``."""
    traces = tracing.current
    if traces is None:
        return ""
    now = time.time()
    first = min((each.first_token_at for each in requests if each.first_token_at is not None), default=now)
    name, _, flags = trace.parts(traceparent)
    if not traces.sampling.takes(
        trace=name,
        tenant=tenant,
        failed=status >= 500 or outcome in {"failed", "node_lost"},
        seconds=first - received_at,
        wanted=flags == "01",
    ):
        return ""
    traces.send(
        name,
        list(spans(traceparent, parent, api, tenant, requests, received_at, now, outcome, code, status)),
    )
    return name


def spans(
    traceparent: str,
    parent: str | None,
    api: str,
    tenant: str,
    requests: Sequence[Request],
    received_at: float,
    ended_at: float,
    outcome: Outcome,
    code: str,
    status: int,
) -> Iterator[SpanFacts]:
    """The whole tree. What clients wrote and what nodes answered is in none of it."""
    _, root, _ = trace.parts(traceparent)
    attributes: dict[str, Value] = {
        "http.route": api,
        "http.response.status_code": status,
        "ollamamax.tenant": tenant,
        "ollamamax.outcome": outcome,
    }
    if code:
        attributes["error.type"] = code
    failed = code if status >= 500 or outcome in {"failed", "node_lost"} else ""
    above = trace.parts(parent)[1] if trace.is_valid(parent) and parent is not None else ""
    yield SpanFacts(f"ask {api}", root, above, received_at, ended_at, "server", attributes, failed)
    for each in requests:
        yield from _of_request(each, root, received_at, ended_at)


def _of_request(request: Request, above: str, received_at: float, ended_at: float) -> Iterator[SpanFacts]:
    """One that nodes were asked for."""
    end = request.ended.at if request.ended is not None else ended_at
    model: dict[str, Value] = {
        "gen_ai.request.model": request.asked.model,
        "ollamamax.request": request.id,
        "ollamamax.version": request.asked.version,
    }
    let_in = request.admitted_at or end
    yield SpanFacts("parse and route", trace.new_span(), above, received_at, let_in, attributes=model)
    attempts = request.route.attempts
    had = attempts[0].given_at if attempts else end
    if request.admitted_at is not None:
        waited = request.route.waiting
        place: dict[str, Value] = {} if waited is None else {"ollamamax.queue.length": waited}
        yield SpanFacts(
            "admit" if waited is None else "queue", trace.new_span(), above, let_in, had, attributes=model | place
        )
    before = ""
    for place_of, attempt in enumerate(attempts):
        is_last = place_of == len(attempts) - 1
        until = end if is_last else attempts[place_of + 1].given_at
        span = request.spans[place_of] if place_of < len(request.spans) else trace.new_span()
        error = attempt.error or (request.ended.error if is_last and request.ended is not None else "")
        facts: dict[str, Value] = {
            "ollamamax.node": attempt.node,
            "ollamamax.node.name": attempt.node_name,
            "ollamamax.reason": attempt.reason,
            "ollamamax.attempt": place_of + 1,
        }
        yield SpanFacts(
            "attempt", span, above, attempt.given_at, until, "client", model | facts, error, (before,) if before else ()
        )
        yield from _of_node(request, attempt, span, until, is_last=is_last)
        before = span


def _of_node(request: Request, attempt: AttemptRecord, above: str, end: float, *, is_last: bool) -> Iterator[SpanFacts]:
    """What a node told of an attempt: when it began, by the gateway's clock, and how long its engine's phases took."""
    if attempt.started_at is None:
        return
    run = SpanFacts("run", trace.new_span(), above, attempt.started_at, end, "server", service=NODE, host=attempt.node)
    final = request.final if is_last else None
    if final is None:
        yield run
        return
    yield replace(
        run,
        attributes={
            "gen_ai.usage.input_tokens": request.prompt_tokens,
            "gen_ai.usage.output_tokens": request.completion_tokens,
            "gen_ai.response.finish_reasons": final.finish_reason,
        },
    )
    at = attempt.started_at
    for name, took in (("load", final.load_ms), ("prefill", final.prompt_ms), ("generation", final.eval_ms)):
        if took > 0:
            # An engine counts by itself: what it says never makes a span longer than the run that it is part of.
            until = min(end, at + took / 1000)
            yield SpanFacts(name, trace.new_span(), run.id, at, until, service=NODE, host=attempt.node)
            at = until
