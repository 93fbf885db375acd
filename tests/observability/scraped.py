"""A page of metrics, read by Prometheus' own parsers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


@dataclass(frozen=True)
class Scraped:
    """Name and labels of each sample -> its value. Raises `AssertionError` where a sample is there twice."""

    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float]

    @staticmethod
    def of(body: bytes, content_type: str = "text/plain") -> Scraped:
        read = openmetrics if "openmetrics" in content_type else plain
        found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        for family in read(body.decode()):
            for sample in family.samples:
                key = sample.name, tuple(sorted(sample.labels.items()))
                assert key not in found, f"{key} is there twice"
                found[key] = sample.value
        return Scraped(found)

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.samples}

    def values(self, name: str, label: str) -> set[str]:
        return {dict(labels)[label] for each, labels in self.samples if each == name and label in dict(labels)}

    def sum(self, name: str, **labels: str) -> float:
        wanted = set(labels.items())
        return sum(value for (each, of), value in self.samples.items() if each == name and wanted <= set(of))


def differences(before: Scraped, after: Scraped, names: Iterable[str]) -> dict[str, float]:
    """By how much the sums of these grew."""
    return {name: after.sum(name) - before.sum(name) for name in names}
