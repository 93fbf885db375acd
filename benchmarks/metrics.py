"""What metrics cost: counting one request, and a scrape of a controller with many nodes. `python -m benchmarks.metrics`."""

from __future__ import annotations

import logging
import time

import msgspec

from cluster import fleet_series
from cluster.dispatch.request import Request, Submission
from cluster.fleet_series import SeenFleet
from cluster.health.judge import judge
from cluster.health.memory import Memory
from cluster.health.snapshot import SeenNode, Snapshot
from ollamamax.contract import AttemptRecord, Engine, Final, Gpu, Inference, Vitals
from ollamamax.contract.tables import Registered
from ollamamax.gateway import measuring
from ollamamax.gateway.tracing import spans
from ollamamax.kernel import trace
from ollamamax.observability import tracing
from ollamamax.observability.exposition import Page, write_at_scrape
from ollamamax.observability.reference import _FIGURES
from ollamamax.observability.sampling import TraceSampling

GIB = 1 << 30


def request() -> Request:
    now = time.time()
    asked = Submission(
        tenant="t" * 32, key="k", model="m:latest", version="v", api="/v1/chat/completions", traceparent="", trace="",
        received_at=now - 1, deadline=now + 9, allowed=10, inference=Inference("chat"),
    )  # fmt: skip
    made = Request.of("r", asked)
    made.admitted_at = made.given_at = made.first_token_at = now
    made.prompt_tokens, made.completion_tokens = 7, 3
    made.route.attempts = [AttemptRecord("n", "n", "idle", now)]
    made.final = Final(load_ms=1.0, prompt_ms=2.0, eval_ms=3.0, cached_tokens=1)
    made.end("ok", "", 200)
    return made


def microseconds_of_a_request(times: int = 100_000) -> float:
    """Of a processor: what else the machine does is not counted."""
    one = [request()]
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(times // 5):
            measuring.ended("/v1/chat/completions", "t" * 32, one, one[0].asked.received_at, "ok", "", 200)
        best = min(best, (time.process_time() - began) / (times // 5))
    return best * 1e6


def microseconds_of_a_trace(times: int = 3_000) -> float:
    """To make the spans of one request and to queue them; the collector is away, and what does not fit the queue is dropped."""
    logging.disable()
    traces = tracing.Traces("http://127.0.0.1:9/v1/traces", {}, TraceSampling(1.0, 10.0), "0")
    one, parent = request(), trace.child(None)
    one.asked = msgspec.structs.replace(one.asked, traceparent=trace.below(parent))
    one.spans = [one.asked.traceparent[36:52]]
    one.route.attempts[0].started_at = one.given_at
    began = time.process_time()
    for _ in range(times):
        made = spans(parent, None, one.asked.api, "t" * 32, [one], one.asked.received_at, time.time(), "ok", "", 200)
        traces.send(trace.trace_id(parent), list(made))
    return (time.process_time() - began) / times * 1e6


def fleet(nodes: int) -> SeenFleet:
    gpu = Gpu(0, "NVIDIA T4", 90.0, 14 * GIB, 16 * GIB, 70.0, 65.0, 0, slowdown_celsius=96.0, throttled=[])
    seen = [
        SeenNode(
            f"{number:032x}",
            Registered(f"{number % 50:032x}", f"node-{number}"),
            Vitals(
                f"{number:032x}",
                "b",
                9,
                "0.2.0",
                [Engine("ollama", True)],
                4,
                1,
                0,
                40.0,
                30.0,
                10 * GIB,
                64 * GIB,
                100 * GIB,
                500 * GIB,
                [gpu],
                clock_skew_seconds=0.01,
                tokens_total=12345,
            ),
        )
        for number in range(nodes)
    ]
    snapshot = Snapshot(now=time.time(), version="0.2.0", nodes=seen)
    return SeenFleet("", snapshot, judge(snapshot, Memory()))


def scrape(nodes: int) -> tuple[float, int]:
    """Seconds of a processor, and bytes."""
    seen = fleet(nodes)
    stop = write_at_scrape(lambda form: fleet_series.write([seen], seen.snapshot.now, openmetrics=form))
    try:
        page, best, size = Page("controller", "0"), float("inf"), 0
        for _ in range(3):
            began = time.process_time()
            size = len(page.render("text/plain")[0])
            best = min(best, time.process_time() - began)
        return best, size
    finally:
        stop()


def main() -> None:
    told = {"request": f"{microseconds_of_a_request():.1f}"}
    for nodes in (100, 1_000, 10_000):
        seconds, size = scrape(nodes)
        told |= {f"s{nodes}": f"{seconds:.3f}", f"b{nodes}": f"{size / 1e6:.2f} MB"}
    print(_FIGURES.format(**told))
    print(f"One trace of eight spans, made and queued: {microseconds_of_a_trace():.0f} us")


if __name__ == "__main__":
    main()
