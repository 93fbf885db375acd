"""Every expression of alerts and dashboards, with the metrics and labels that it names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.architecture.code import ROOT

OPS = ROOT / "ops"
RULES = OPS / "helm" / "ollamamax" / "rules"
DASHBOARDS = OPS / "grafana" / "dashboards"
OF_TARGETS = frozenset({"instance", "job", "process"})
"""Labels that Prometheus adds to what it scrapes, and our announcement."""
_WORDS = frozenset({"histogram_quantile", "group_left", "group_right"})


@dataclass(frozen=True)
class Expression:
    """``where`` it stands, for a person."""

    where: str
    text: str

    @property
    def selectors(self) -> dict[str, set[str]]:
        """Metric -> the labels that it is selected by."""
        found: dict[str, set[str]] = {}
        plain = re.sub(r"\b(by|on|group_left|ignoring)\s*\([^)]*\)", "", self.text)
        for name, inside in re.findall(r"\b([a-zA-Z_:][a-zA-Z0-9_:]*)\b(?!\s*\()\s*(\{[^}]*\})?", plain):
            if ("_" in name or ":" in name or name in {"up", "ALERTS"}) and name not in _WORDS:
                found.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside))
        return found

    @property
    def grouped(self) -> set[str]:
        """Labels that its results are grouped or joined by."""
        parts = re.findall(r"\b(?:by|on|group_left|ignoring)\s*\(([^)]*)\)", self.text)
        return {label.strip() for part in parts for label in part.split(",") if label.strip()}


def rules() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each rule, with the name of its file."""
    for file in sorted(RULES.glob("*.yml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                yield file.name, rule


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for _, rule in rules() if "alert" in rule}


@cache
def recorded() -> frozenset[str]:
    """The names that rules record under."""
    return frozenset(rule["record"] for _, rule in rules() if "record" in rule)


def expressions(folder: Path = DASHBOARDS) -> list[Expression]:
    found = [Expression(f"{file}: {rule.get('alert') or rule['record']}", rule["expr"]) for file, rule in rules()]
    for file in sorted(folder.glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                text = target["expr"].replace("$__rate_interval", "1m")
                found.append(Expression(f"{file.name}: {panel['title']}", text))
    return found
