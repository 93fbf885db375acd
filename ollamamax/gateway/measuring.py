"""What is counted of a request of a client where it ends, and what a gateway holds when Prometheus asks.

Nothing is counted while a request runs: all of it is known at the end. Bound instruments are kept by their labels, so that one
request costs a dictionary's look-ups and additions.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from cluster.dispatch.dispatcher import Dispatcher
from cluster.dispatch.request import Request
from ollamamax.contract import Outcome
from ollamamax.gateway.catalog import full_name
from ollamamax.kernel import errors
from ollamamax.observability.instruments import (
    MODELS,
    TENANTS,
    FewValues,
    Sample,
    ask_at_scrape,
    counter,
    histogram,
)
from ollamamax.observability.numbers import CountSeries, SpreadSeries
from ollamamax.observability.table import OTHER

_REQUESTS = counter("ollamamax_requests_total")
_ERRORS = counter("ollamamax_request_errors_total")
_DURATION = histogram("ollamamax_request_duration_seconds")
_FIRST_TOKEN = histogram("ollamamax_time_to_first_token_seconds")
_EACH_TOKEN = histogram("ollamamax_time_per_output_token_seconds")
_TOKENS = counter("ollamamax_tokens_total")
_OF_TENANT = counter("ollamamax_tenant_requests_total")
_TOKENS_OF_TENANT = counter("ollamamax_tenant_tokens_total")
_ADMISSIONS = counter("ollamamax_admissions_total")
_ADMISSION = histogram("ollamamax_admission_seconds")
_QUEUE = histogram("ollamamax_queue_wait_seconds")
_ROUTED = counter("ollamamax_routed_total")
_RETRIES = counter("ollamamax_retries_total")
_CONTINUATIONS = counter("ollamamax_continuations_total")
_CANCELLATIONS = counter("ollamamax_cancellations_total")
_ENGINE = histogram("ollamamax_engine_seconds")

_apis = FewValues(64)
_reasons = FewValues(32)
_AT_NODES = frozenset(
    {"node_lost", "node_restarted", "gateway_lost", "engine_hung", "deadline_exceeded", "answer_too_long", "cancelled"}
)
"""Codes that are no classes of errors: what nodes and streams end with."""
_ENDED_BY = {
    "client_gone": "client",
    "client_too_slow": "client",
    "request_cancelled": "management",
    "deadline_exceeded": "deadline",
}


def ended(
    api: str,
    tenant: str,
    requests: Sequence[Request],
    received_at: float,
    outcome: Outcome,
    code: str,
    status: int,
    traced: str = "",
) -> None:
    """CountSeries one request of a client; ``requests``: what was asked of nodes for it. Unix seconds. ``traced``: the id of its trace, where it has one."""
    exemplar = {"trace_id": traced} if traced else None
    kind = api, tenant, outcome, status // 100
    series = _kinds.get(kind)
    if series is None:
        if len(_kinds) >= _MOST_KEPT:
            _kinds.clear()
        series = _kinds[kind] = _OfKind(
            _requests(api, outcome, status),
            _durations(api),
            _of_tenant(TENANTS(tenant), outcome) if tenant else None,
        )
    series.requests.number += 1
    series.duration.observe(max(0.0, time.time() - received_at), exemplar)
    if series.of_tenant is not None:
        series.of_tenant.number += 1
    if code:
        _errors(code).inc()
        if outcome == "cancelled" or code in _ENDED_BY:
            _cancellations(_ENDED_BY.get(code, OTHER)).inc()
    for each in requests:
        _count(each, tenant, exemplar)


class _OfKind(NamedTuple):
    """The series of what is counted of a client's requests of one route, tenant, outcome and class of status."""

    requests: CountSeries
    duration: SpreadSeries
    of_tenant: CountSeries | None


class _OfModel(NamedTuple):
    """Of requests for one model of one tenant; of tokens those of the model and those of the tenant."""

    first_token: SpreadSeries
    each_token: SpreadSeries
    prompt: tuple[CountSeries, CountSeries]
    completion: tuple[CountSeries, CountSeries]
    cached: tuple[CountSeries, CountSeries]


_MOST_KEPT = 10_000
_kinds: dict[tuple[str, str, str, int], _OfKind] = {}
_models: dict[tuple[str, str], _OfModel] = {}


def _of_model(tenant: str, model: str) -> _OfModel:
    if len(_models) >= _MOST_KEPT:
        _models.clear()
    name, of = MODELS(full_name(model)), TENANTS(tenant)
    prompt, completion, cached = (
        (_tokens(name, kind), _tokens_of_tenant(of, kind)) for kind in ("prompt", "completion", "cached")
    )
    made = _models[tenant, model] = _OfModel(_first_tokens(name), _each_token(name), prompt, completion, cached)
    return made


def _count(request: Request, tenant: str, exemplar: dict[str, str] | None) -> None:
    """One that nodes were asked for; a client's request can be several."""
    attempts = request.route.attempts
    if not attempts:
        _admissions("none").inc()
        return
    first = attempts[0].given_at
    if request.route.waiting is None:
        _admissions("at_once").inc()
        _ADMISSION.observe(max(0.0, first - request.asked.received_at))
    else:
        _admissions("waited").inc()
        _waits(request.priority).observe(max(0.0, first - (request.admitted_at or first)))
    _routed(attempts[0].reason).inc()
    for number in range(1, len(attempts)):
        _routed(attempts[number].reason).inc()
        _retries(attempts[number - 1].error).inc()
    if request.continued:
        _CONTINUATIONS.inc(request.continued)
    model = _models.get((tenant, request.asked.model)) or _of_model(tenant, request.asked.model)
    if request.first_token_at is not None:
        model.first_token.observe(max(0.0, request.first_token_at - request.asked.received_at), exemplar)
        if request.completion_tokens > 1 and request.ended is not None and request.ended.outcome == "ok":
            took = max(0.0, request.ended.at - request.first_token_at)
            model.each_token.observe(took / (request.completion_tokens - 1))
    _add(model.prompt, request.prompt_tokens)
    _add(model.completion, request.completion_tokens)
    if (final := request.final) is not None:
        if final.cached_tokens:
            _add(model.cached, final.cached_tokens)
        if final.load_ms or final.prompt_ms or final.eval_ms:
            for phase, ms in (("load", final.load_ms), ("prompt", final.prompt_ms), ("generation", final.eval_ms)):
                if ms:
                    _phases(phase).observe(ms / 1000)


def _add(to: tuple[CountSeries, CountSeries], tokens: int) -> None:
    of_model, of_tenant = to
    of_model.number += tokens
    of_tenant.number += tokens


# -- bound instruments -------------------------------------------------------------------------------------------------
# What their labels are given is bounded before they are kept by it, or comes from the code.


@functools.cache
def _of_api(api: str, outcome: str, status: str) -> CountSeries:
    return _REQUESTS.labels(api, outcome, status)


def _requests(api: str, outcome: str, status: int) -> CountSeries:
    return _of_api(_apis(api), outcome, _CLASSES.get(status // 100, OTHER))


_CLASSES = {2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx"}


@functools.cache
def _of_protocol(protocol: str) -> SpreadSeries:
    return _DURATION.labels(protocol)


def _durations(api: str) -> SpreadSeries:
    if api.startswith("/v1/"):
        return _of_protocol("anthropic" if api.startswith("/v1/messages") else "openai")
    return _of_protocol("ollama" if api.startswith("/api/") else OTHER)


@functools.cache
def _of_tenant(tenant: str, outcome: str) -> CountSeries:
    return _OF_TENANT.labels(tenant, outcome)


@functools.cache
def _tokens_of_tenant(tenant: str, kind: str) -> CountSeries:
    return _TOKENS_OF_TENANT.labels(tenant, kind)


@functools.cache
def _tokens(model: str, kind: str) -> CountSeries:
    return _TOKENS.labels(model, kind)


@functools.cache
def _first_tokens(model: str) -> SpreadSeries:
    return _FIRST_TOKEN.labels(model)


@functools.cache
def _each_token(model: str) -> SpreadSeries:
    return _EACH_TOKEN.labels(model)


@functools.cache
def _admissions(how: str) -> CountSeries:
    return _ADMISSIONS.labels(how)


@functools.cache
def _waits(priority: str) -> SpreadSeries:
    return _QUEUE.labels(priority)


@functools.cache
def _phases(phase: str) -> SpreadSeries:
    return _ENGINE.labels(phase)


@functools.cache
def _cancellations(by: str) -> CountSeries:
    return _CANCELLATIONS.labels(by)


@functools.cache
def _of_reason(reason: str) -> CountSeries:
    return _ROUTED.labels(reason)


def _routed(reason: str) -> CountSeries:
    known = _by_reason.get(reason)
    if known is None:
        known = _of_reason(_reasons(reason))
        if len(_by_reason) < _MOST_KEPT:
            _by_reason[reason] = known
    return known


_by_reason: dict[str, CountSeries] = {}


def _errors(code: str) -> CountSeries:
    return _of_code(code if code in _codes() else OTHER)


@functools.cache
def _of_code(code: str) -> CountSeries:
    return _ERRORS.labels(code)


def _retries(code: str) -> CountSeries:
    return _of_failure(code if code in _codes() else OTHER)


@functools.cache
def _of_failure(code: str) -> CountSeries:
    return _RETRIES.labels(code)


@functools.cache
def _codes() -> frozenset[str]:
    """Every code of ours: a node can say any."""

    def below(kind: type[errors.OllamaMaxError]) -> Iterator[str]:
        yield kind.code
        for each in kind.__subclasses__():
            yield from below(each)

    return frozenset(below(errors.OllamaMaxError)) | _AT_NODES


for _code in ("node_lost", "engine_failed", "unavailable"):
    # A rate needs a value to start from.
    _errors(_code)
    _retries(_code)


# -- what is held ------------------------------------------------------------------------------------------------------


def show(dispatcher: Dispatcher, opened: Callable[[], int], problems: Callable[[], int]) -> Callable[[], None]:
    """Tell at each scrape what this gateway holds. Returns what ends that."""

    def held() -> Iterable[tuple[str, Iterable[Sample]]]:
        for name, number in (
            ("ollamamax_open_requests", opened()),
            ("ollamamax_waiting_requests", dispatcher.waiting),
            ("ollamamax_unsettled_requests", dispatcher.unsettled),
            ("ollamamax_reachable_nodes", dispatcher.fleet.reachable),
            ("ollamamax_parts_down", problems()),
        ):
            yield name, [((), float(number))]

    return ask_at_scrape(held)
