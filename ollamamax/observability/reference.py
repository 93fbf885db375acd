"""The reference of all metrics: `python -m ollamamax.observability.reference > docs/metrics.md`."""

from __future__ import annotations

import sys

from ollamamax.observability.table import GENAI, LABELS, METRICS, Label, Metric

_HEAD = """# Metrics

Every process serves its metrics to [Prometheus](https://prometheus.io) at `/metrics`, as text or as OpenMetrics: all that are in the table below, and
`process_*` and `python_gc_*` of its own. Made of the table in `ollamamax/observability/table.py` by `python -m ollamamax.observability.reference`; a test
checks that it is current, and one has a real Prometheus scrape a running installation.

## Where

Off until it is set. With `OLLAMAMAX_METRICS_ADDRESS=127.0.0.1:9464` each process has a listener of its own, apart from what clients reach: the first one takes
that port, the next one on the same host the next free port, and so on; port 0 is any free one. Each writes where it is into a file in
`OLLAMAMAX_HOME/metrics`, in the form that Prometheus reads by itself, and takes away the files of processes that are gone:

```yaml
scrape_configs:
  - job_name: ollamamax
    file_sd_configs:
      - files: ["/var/lib/ollamamax/metrics/*.json"]
```

In a container a fixed port does: each process is alone there. Beyond loopback a token is needed, `OLLAMAMAX_METRICS_TOKEN`, which Prometheus sends as
`authorization: {credentials_file: ...}`; the start is refused without it. The listener speaks plain HTTP: keep it inside a network that you trust, or put TLS before it.
With a token, web and gateway answer at `/metrics` on their own ports too, over their own TLS; without one there is no such path there. Several gateways
(`OLLAMAMAX_GATEWAYS`) share a port, so that a scrape of it reaches any one of them: take the listeners for those. A listener without a token answers
only who names this machine by an address or as `localhost`, so that no web page gets at it by a name of its own.

Nodes read the same settings. They need not be scraped: how each node is, the controller that leads tells of all of them, once, as it knows from their
own reports. What a node's agent tells itself is about its process.

## How many series

Labels have few values. Tenants and models are told apart as they come, `OLLAMAMAX_METRICS_VALUES` of each in a process; every other is `other`. A model counts by its name
only once it was found, so that nobody makes series by asking for names. Codes and reasons are those in our code; what a node makes up is `other`. Nodes are as many as there
are: about 14 series each, and 8 for each GPU.

What one request is counted by is known when it ends, and is counted there in one place (`ollamamax/gateway/measuring.py`). [What it costs](#cost) is below.

"""
_COST = """
## Cost

Processor time on a shared machine, with `python -m benchmarks.metrics`, Python 3.11:

{figures}
"""
_FIGURES = """| what | |
|---|---|
| counting one whole request, once it has been answered: outcome, times, tokens, tenant, model, route | {request} us |
| scrape of a controller with 100 nodes of one GPU each | {s100} s, {b100} |
| with 1,000 | {s1000} s, {b1000} |
| with 10,000 | {s10000} s, {b10000} |
"""


def reference(figures: str) -> str:
    """The page, as Markdown. ``figures``: the table of what it costs, which is measured and not made of the table of metrics."""
    page = _HEAD + "## All of them\n\n| metric | type | given by | labels | what |\n|---|---|---|---|---|\n"
    page += "".join(_row(metric) for metric in METRICS)
    page += "\n## Labels\n\n| label | values | what |\n|---|---|---|\n"
    page += "".join(_label(name, label) for name, label in LABELS.items())
    page += "\n## OpenTelemetry's names\n\nWith `OLLAMAMAX_METRICS_GENAI=1` these are given a second time, under the names of the GenAI semantic conventions:\n\n"
    page += "| ours | theirs |\n|---|---|\n"
    page += "".join(f"| `{ours}` | `{theirs}` |\n" for ours, (theirs, _) in GENAI.items())
    return page + _COST.replace("{figures}\n", figures)


def figures_of(page: str) -> str:
    """What a page says of the cost."""
    return page.partition("## Cost")[2].partition(":\n\n")[2]


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {', '.join(metric.given_by)} | {labels} | {metric.help} |\n"


def _label(name: str, label: Label) -> str:
    values = ", ".join(f"`{value}`" for value in label.values) if label.values else label.most
    return f"| `{name}` | {values} | {label.help} |\n"


if __name__ == "__main__":
    from pathlib import Path

    held = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
    sys.stdout.write(reference(figures_of(held.read_text()) if held.exists() else ""))
