"""Alerts, their runbooks and dashboards: each is tested, explained, and speaks of metrics that there are."""

from __future__ import annotations

import ast
import json
import re
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ollamamax.observability.table import BY_NAME
from tests.architecture.code import ROOT
from tests.flow.prometheus import program
from tests.observability import expressions
from tests.observability.expressions import DASHBOARDS, OF_TARGETS, OPS, RULES, Expression

ALERTS = expressions.alerts()


def labels_of(metric: str) -> set[str]:
    """Those that a series of this name has. Raises `KeyError` where there is no such metric."""
    if metric.startswith("process_") or metric == "up":
        return set(OF_TARGETS)
    if metric == "ALERTS":
        return {"alertname", "alertstate", "severity"}
    if metric in expressions.recorded():
        return set()
    declared = BY_NAME.get(metric)
    if declared is not None:
        return {*declared.labels, *OF_TARGETS}
    base, _, part = metric.rpartition("_")
    assert part in {"bucket", "count", "sum"}, metric
    assert BY_NAME[base].kind == "histogram", metric
    return {*BY_NAME[base].labels, *OF_TARGETS, *(["le"] if part == "bucket" else [])}


@pytest.mark.parametrize("each", expressions.expressions(), ids=lambda each: each.where)
def test_every_expression_speaks_of_metrics_and_labels_that_there_are(each: Expression) -> None:
    assert each.selectors
    known = set()
    for metric, asked in each.selectors.items():
        assert asked <= labels_of(metric), metric
        known |= labels_of(metric)
    assert each.grouped <= known, each.text


def signs() -> Iterator[tuple[str, str]]:
    """The code of every sign of health, and how grave it is as far as the code says so."""
    for file in (ROOT / "cluster" / "health").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Sign":
                assert isinstance(node.args[0], ast.Constant), f"{file}: the code of a sign is written where it is made"
                yield str(node.args[0].value), ast.unparse(node.args[1])


def name_of(code: str) -> str:
    return "Health" + "".join(part.capitalize() for part in code.split("_"))


def test_what_health_finds_and_what_alerts_tell_are_the_same() -> None:
    grave = {code for code, severity in signs() if severity != "'notice'"}
    told = {
        re.findall(r'code="(\w+)"', rule["expr"])[0]: rule["alert"]
        for file, rule in expressions.rules()
        if file == "health.yml"
    }
    assert told == {code: name_of(code) for code in grave}


def test_every_alert_has_its_section_in_the_runbooks_and_every_section_an_alert() -> None:
    page = (ROOT / "docs" / "runbooks.md").read_text()
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))
    assert sections.keys() == ALERTS.keys()
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{name.lower()}"
        assert rule["annotations"]["summary"].endswith(".")
        for part in ("**Look at**: ", "**Do**: "):
            assert part in sections[name], name
        if (code := re.search(r'code="(\w+)"', rule["expr"])) and name.startswith("Health"):
            assert f"`{code[1]}`" in sections[name]


def test_every_severity_is_one_of_two() -> None:
    for name, rule in ALERTS.items():
        graded = rule.get("labels", {}).get("severity") or re.search(r"by \(region, code, severity\)", rule["expr"])
        assert graded, name


def promtool(*arguments: str, folder: Path = ROOT) -> None:
    done = subprocess.run([program("promtool"), *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration_and_every_rule() -> None:
    promtool("check", "config", "ops/prometheus/prometheus.yml")


def test_every_alert_fires_and_clears(tmp_path: Path) -> None:
    """Those of the files, by their own tests; those of health, which are alike, by one that is made of them here."""
    files = sorted((OPS / "prometheus" / "tests").glob("*.yml"))
    tested = set()
    for file in files:
        for test in yaml.safe_load(file.read_text())["tests"]:
            [fires, clears] = test["alert_rule_test"]
            assert fires["alertname"] == clears["alertname"]
            assert fires["exp_alerts"], test["name"]
            assert clears["exp_alerts"] == [], test["name"]
            tested.add(fires["alertname"])
    of_health = {name: rule for name, rule in ALERTS.items() if name.startswith("Health")}
    assert tested == ALERTS.keys() - of_health.keys()
    made = {
        "rule_files": [str(RULES / "health.yml")],
        "tests": [_fires_and_clears(name, rule["expr"], rule["annotations"]) for name, rule in of_health.items()],
    }
    (tmp_path / "health.yml").write_text(json.dumps(made))
    promtool("test", "rules", *map(str, files), str(tmp_path / "health.yml"))


def _fires_and_clears(name: str, expression: str, annotations: dict[str, str]) -> dict[str, object]:
    [code] = re.findall(r'code="(\w+)"', expression)
    labels = {"region": "none", "code": code, "severity": "critical"}
    said = {**annotations, "summary": annotations["summary"].replace("{{ $value }}", "2")}
    series = f'ollamamax_health_findings{{region="none",code="{code}",severity='
    return {
        "interval": "15s",
        "input_series": [
            {"series": f'{series}"critical"}}', "values": "0 2x4 stale"},
            {"series": f'{series}"notice"}}', "values": "5x20"},
        ],
        "alert_rule_test": [
            {
                "eval_time": "1m",
                "alertname": name,
                "exp_alerts": [{"exp_labels": labels, "exp_annotations": said}],
            },
            {"eval_time": "2m", "alertname": name, "exp_alerts": []},
        ],
    }


def test_dashboards_are_what_their_description_makes() -> None:
    made = runpy.run_path(str(OPS / "grafana" / "dashboards.py"))["files"]()
    assert {file.name: file.read_text() for file in DASHBOARDS.glob("*.json")} == made, (
        "run: python ops/grafana/dashboards.py"
    )
    assert {name.removesuffix(".json") for name in made} == {"fleet", "gateway", "models", "node", "tenants", "slo"}


def test_every_metric_of_ours_is_on_a_dashboard_or_in_an_alert() -> None:
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for each in expressions.expressions() for name in each.selectors}
    aside = {
        # Grafana's own views of a process, and what another metric says better.
        "ollamamax_build_info", "ollamamax_gpu_info", "ollamamax_postgres_pool_available", "ollamamax_postgres_pool_wait_seconds_total",
        "ollamamax_loop_duration_seconds", "ollamamax_usage_written_total", "ollamamax_agent_running", "ollamamax_agent_slots",
        "ollamamax_agent_tokens_total",
    }  # fmt: skip
    assert BY_NAME.keys() - shown == aside
