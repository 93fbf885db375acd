"""Makes the instruments of the table, keeps their label values few, and collects what the process at hand gives."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from ollamamax.observability.numbers import CounterOfCalls, HistogramOfCalls
from ollamamax.observability.table import BY_NAME, GENAI, LABELS, OTHER, Kind, Metric, ProcessName

NONE = "none"
"""What an empty value is called: to Prometheus an empty label is no label."""
_MOST_CHARACTERS = 128
_MOST_AT_FIRST = 64
"""Series of a metric that are there, as zeros, before anything was counted: a rate needs a value to start from."""
_REGISTRY = CollectorRegistry(auto_describe=False)

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Undeclared(KeyError):
    """A metric that the table does not have, or has as another kind."""


class FewValues:
    """Tells at most ``most`` values of a label apart, the first that come; every other is `OTHER`. Safe in several threads."""

    def __init__(self, most: int = 100) -> None:
        self.most = most
        self._known: dict[str, str] = {}

    def __call__(self, value: str) -> str:
        known = self._known.get(value)
        if known is None:
            if len(self._known) >= self.most:
                return OTHER
            known = self._known[value] = shown(value)
        return known

    def forget(self) -> None:
        self._known.clear()


def shown(value: str) -> str:
    """A label value that is short, on one line, and not empty."""
    plain = value[:_MOST_CHARACTERS]
    if not plain.isprintable():
        plain = "".join([c if c.isprintable() else "?" for c in plain])
    return plain or NONE


TENANTS = FewValues()
MODELS = FewValues()
"""Those of a process; OLLAMAMAX_METRICS_VALUES says how many."""


def _declared(name: str, kind: Kind) -> Metric:
    metric = BY_NAME.get(name)
    if metric is None or metric.kind != kind:
        raise Undeclared(f"There is no {kind} '{name}' in the table of metrics.")
    return metric


def counter(name: str) -> CounterOfCalls:
    """The counter of that name; make it once, where it is counted. Raises `Undeclared`."""
    metric = _declared(name, "counter")
    made = CounterOfCalls(name, metric.help, metric.labels)
    _REGISTRY.register(made)
    for values in _at_first(metric):
        made.labels(*values)
    return made


def gauge(name: str) -> Gauge:
    """The gauge of that name; make it once, where it is set. Raises `Undeclared`."""
    metric = _declared(name, "gauge")
    return Gauge(name, metric.help, metric.labels, registry=_REGISTRY)


def histogram(name: str) -> HistogramOfCalls:
    """The histogram of that name; make it once, where it is observed. Raises `Undeclared`."""
    metric = _declared(name, "histogram")
    made = HistogramOfCalls(name, metric.help, metric.labels, metric.buckets)
    _REGISTRY.register(made)
    for values in _at_first(metric):
        made.labels(*values)
    return made


def _at_first(metric: Metric) -> Iterable[tuple[str, ...]]:
    closed = [LABELS[label].values for label in metric.labels]
    if not closed or any(values is None for values in closed):
        return ()
    every = list(itertools.product(*(values for values in closed if values is not None)))
    return every if len(every) <= _MOST_AT_FIRST else ()


Sample = tuple[tuple[str, ...], float]
Source = Callable[[], Iterable[tuple[str, Iterable[Sample]]]]
"""Called at each scrape: yields names of metrics with their samples, each the label values in the table's order and a number."""


class _Collects(Protocol):
    def collect(self) -> Iterable[Family]: ...


class _Asked:
    """What is not counted but looked up when somebody asks."""

    def __init__(self) -> None:
        self.sources: list[Source] = []

    def collect(self) -> Iterator[Family]:
        for source in list(self.sources):
            try:
                found = [(name, list(samples)) for name, samples in source()]
            except RuntimeError:
                continue  # what it counted was changed meanwhile, in another thread: the next scrape has it
            for name, samples in found:
                metric = BY_NAME[name]
                made: CounterMetricFamily | GaugeMetricFamily = (
                    CounterMetricFamily(name, metric.help, labels=metric.labels)
                    if metric.kind == "counter"
                    else GaugeMetricFamily(name, metric.help, labels=metric.labels)
                )
                for values, number in samples:
                    if math.isfinite(number):
                        made.add_metric([shown(value) for value in values], number)
                yield made


_ASKED = _Asked()
_REGISTRY.register(_ASKED)


def ask_at_scrape(source: Source) -> Callable[[], None]:
    """Have ``source`` asked at each scrape; it must not wait. Returns what takes it back."""
    _ASKED.sources.append(source)
    return lambda: _ASKED.sources.remove(source)


class OfProcess:
    """Collects those metrics that the table says a process of this kind gives, and those of ``more``."""

    def __init__(self, process: ProcessName, more: Iterable[_Collects] = (), *, genai: bool = False) -> None:
        self._process = process
        self._more = list(more)
        self._genai = genai

    def collect(self) -> Iterator[Family]:
        for family in _REGISTRY.collect():
            metric = BY_NAME.get(f"{family.name}_total" if family.type == "counter" else family.name)
            if metric is not None and self._process in metric.given_by:
                yield family
                if self._genai and metric.name in GENAI:
                    yield _renamed(family, *GENAI[metric.name])
        for collector in self._more:
            yield from collector.collect()


def _renamed(family: Family, name: str, labels: dict[str, str]) -> Family:
    """The same numbers under another name."""
    made = HistogramMetricFamily(name, family.documentation)
    for sample in family.samples:
        made.samples.append(
            sample._replace(
                name=name + sample.name.removeprefix(family.name),
                labels={labels.get(label, label): value for label, value in sample.labels.items()},
            )
        )
    return made
