"""Counters and histograms whose numbers are plain ones: a request changes about a dozen, and prometheus_client's lock about each
of them cost more than all else that is noted of it (2.9 µs a counter and 6.8 a histogram, 0.2 and 0.4 here)."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString


class CountSeries:
    """One series of a counter. The interpreter lets no other thread run between the reading and the writing of the number: between
    them it calls nothing."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0.0

    def inc(self, amount: float = 1.0) -> None:
        self.number += amount


class SpreadSeries:
    """One series of a histogram; ``bounds`` are the buckets' upper ones, each inclusive."""

    __slots__ = ("_bounds", "counts", "exemplars", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.exemplars: dict[int, Exemplar] = {}
        """The last one of each bucket that has any."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        place = bisect_left(self._bounds, amount)
        self.counts[place] += 1
        self.sum += amount
        if exemplar is not None:
            self.exemplars[place] = Exemplar(exemplar, amount, time.time())


T = TypeVar("T", CountSeries, SpreadSeries)


class _Labelled(Generic[T]):
    """The series of one metric, each made when its labels are first asked for; one without labels is there from the beginning."""

    def __init__(self, name: str, help_: str, labels: Sequence[str]) -> None:
        self.name, self._help, self._labels = name, help_, labels
        self._series: dict[tuple[str, ...], T] = {}
        self._one: T | None = None if labels else self.labels()

    def labels(self, *values: str) -> T:
        """The series of these values, in the order of the metric's labels."""
        known = self._series.get(values)
        if known is None:
            if len(values) != len(self._labels):
                raise ValueError(f"'{self.name}' has the labels {', '.join(self._labels)}.")
            known = self._series.setdefault(values, self._make())
        return known

    def _make(self) -> T:
        raise NotImplementedError

    @property
    def _own(self) -> T:
        if self._one is None:
            raise ValueError(f"'{self.name}' has labels.")
        return self._one


class CounterOfCalls(_Labelled[CountSeries]):
    def _make(self) -> CountSeries:
        return CountSeries()

    def inc(self, amount: float = 1.0) -> None:
        self._own.inc(amount)

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(self.name, self._help, labels=self._labels)
        for values, count in list(self._series.items()):
            family.add_metric(values, count.number)
        yield family


class HistogramOfCalls(_Labelled[SpreadSeries]):
    def __init__(self, name: str, help_: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._names = [*map(floatToGoString, self._bounds), "+Inf"]
        super().__init__(name, help_, labels)

    def _make(self) -> SpreadSeries:
        return SpreadSeries(self._bounds)

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        self._own.observe(amount, exemplar)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self.name, self._help, labels=self._labels)
        for values, spread in list(self._series.items()):
            total = 0
            buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
            for place, (name, count) in enumerate(zip(self._names, list(spread.counts), strict=True)):
                total += count
                exemplar = spread.exemplars.get(place)
                buckets.append((name, float(total)) if exemplar is None else (name, float(total), exemplar))
            family.add_metric(values, buckets, spread.sum)
        yield family
