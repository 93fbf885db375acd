"""The Helm chart: what it renders is valid for each Kubernetes, closed by default, and names programs and settings that there are."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from helm_python.chart import Chart, lint
from helm_python.errors import HelmValuesError

from ollamamax import env
from ollamamax.cli import COMMANDS
from ollamamax.observability.table import BY_NAME
from tests.architecture.code import ROOT
from tests.flow.prometheus import program
from tests.observability.expressions import RULES, Expression

CHART = ROOT / "ops" / "helm" / "ollamamax"
CUSTOM = json.loads((Path(__file__).parent / "custom_resources.json").read_text())
LEAST: dict[str, Any] = {"publicUrl": "https://ai.example", "secret": "ollamamax"}
EVERYTHING: dict[str, Any] = LEAST | {
    "ownerSecret": "owner", "storesCaSecret": "ca", "podTlsSecret": "pod-tls", "region": "eu", "settings": {"OLLAMAMAX_LOG_LEVEL": "debug"},
    "gateway": {"keda": {"enabled": True}}, "node": {"enabled": True, "joinSecret": "join"}, "monitoring": {"enabled": True, "labels": {"release": "p"}},
    "imagePullSecrets": [{"name": "registry"}],
}  # fmt: skip
ALONE: dict[str, Any] = LEAST | {
    "gateway": {"enabled": False}, "ingress": {"enabled": False, "tlsSecret": "t"}, "storage": {"existingClaim": "mine"},
    "podDisruptionBudget": {"enabled": False}, "networkPolicy": {"enabled": False},
}  # fmt: skip
BY_CPU: dict[str, Any] = LEAST | {"gateway": {"hpa": {"enabled": True}}}
VALUES = {"least": LEAST, "everything": EVERYTHING, "alone": ALONE, "by_cpu": BY_CPU}
VERSIONS = ("1.27", "1.31", "1.34", "1.37")


@functools.cache
def rendered(name: str) -> list[dict[str, Any]]:
    with Chart.load(CHART) as chart:
        texts = chart.render(values=VALUES[name], name="omx")
    return [
        each
        for path, text in texts.items()
        if path.endswith(".yaml")
        for each in yaml.safe_load_all(text)
        if each is not None
    ]


def pods(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(each, each["spec"]["template"]["spec"]) for each in rendered(name) if "template" in each.get("spec", {})]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", VALUES)
def test_what_it_renders_is_valid(name: str, version: str) -> None:
    found = rendered(name)
    assert found
    for each in found:
        if each["kind"] in CUSTOM:
            known = CUSTOM[each["kind"]]
            assert each["apiVersion"] == known["apiVersion"]
            jsonschema.validate(each["spec"], known["spec"] | {"definitions": CUSTOM["definitions"]})
        else:
            kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("name", VALUES)
def test_lint_has_no_complaint(name: str) -> None:
    said = lint(CHART, values=VALUES[name], strict=True)
    assert said["errors"] == []
    assert {each["error"] for each in said["messages"]} <= {"icon is recommended"}


@pytest.mark.parametrize("name", VALUES)
def test_every_pod_is_closed(name: str) -> None:
    for each, pod in pods(name):
        assert pod["automountServiceAccountToken"] is False, each["metadata"]["name"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            held = container["securityContext"]
            assert (held["readOnlyRootFilesystem"], held["allowPrivilegeEscalation"]) == (True, False)
            assert held["capabilities"] == {"drop": ["ALL"]}
            mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
            assert {"/tmp", "/data"} <= mounted


@pytest.mark.parametrize("name", VALUES)
def test_every_program_and_setting_is_one_that_there_is(name: str) -> None:
    known = {setting.name for setting in env.SETTINGS}
    for _, pod in pods(name):
        for container in pod["containers"]:
            if container["command"][0] == "ollamamax":
                assert container["command"][1] in COMMANDS
                assert {each["name"] for each in container["env"]} <= known
            else:
                assert container["command"][:2] == ["ollamamax-node", "run"]


@pytest.mark.parametrize("name", VALUES)
def test_volumes_services_and_claims_that_are_named_are_there(name: str) -> None:
    found = rendered(name)
    labels = [each["spec"]["template"]["metadata"]["labels"] for each, _ in pods(name)]
    for each in found:
        wanted = each["spec"].get("selector", {})
        wanted = wanted.get("matchLabels", wanted)
        if each["kind"] in {"Service", "PodDisruptionBudget"}:
            assert any(wanted.items() <= held.items() for held in labels), each["metadata"]["name"]
    for _, pod in pods(name):
        named = {volume["name"] for volume in pod["volumes"]}
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= named
    services = {each["metadata"]["name"]: each for each in found if each["kind"] == "Service"}
    for ingress in (each for each in found if each["kind"] == "Ingress"):
        for path in ingress["spec"]["rules"][0]["http"]["paths"]:
            assert path["backend"]["service"]["name"] in services


def test_the_gateway_scales_by_metrics_that_there_are() -> None:
    [scaled] = [each for each in rendered("everything") if each["kind"] == "ScaledObject"]
    for trigger in scaled["spec"]["triggers"]:
        asked = Expression("chart", trigger["metadata"]["query"])
        assert asked.selectors
        assert set(asked.selectors) <= BY_NAME.keys()


def test_the_rules_are_those_that_are_tested(tmp_path: Path) -> None:
    [rule] = [each for each in rendered("everything") if each["kind"] == "PrometheusRule"]
    names = {group["name"] for group in rule["spec"]["groups"]}
    ours = [yaml.safe_load(file.read_text()) for file in RULES.glob("*.yml")]
    assert names == {group["name"] for each in ours for group in each["groups"]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule["spec"]))
    done = subprocess.run(
        [program("promtool"), "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        {"publicUrl": "http://ai.example"},
        {"publicUrl": "https://ai.example/below"},
        {"secret": ""},
        {"misspelt": True},
        {"settings": {"PATH": "/"}},
        {"node": {"enabled": True}},
        {"gateway": {"hpa": {"enabled": True}, "keda": {"enabled": True}}},
    ],
)
def test_values_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    with Chart.load(CHART) as chart, pytest.raises(HelmValuesError):
        chart.render(values=LEAST | wrong, name="omx")


@pytest.mark.parametrize("name", VALUES)
def test_each_process_takes_the_environment_that_its_pod_gives(name: str) -> None:
    secret = {
        "OLLAMAMAX_SECRET_KEY": "k" * 50, "DATABASE_URL": "postgresql://u:p@db/x", "REDIS_URL": "rediss://u:p@r/0",
        "OLLAMAMAX_METRICS_TOKEN": "t" * 20,
    }  # fmt: skip
    for _, pod in pods(name):
        for container in pod["containers"]:
            if container["command"][0] == "ollamamax":
                given = {each["name"]: each["value"] for each in container["env"]}
                read = env.read(secret | given)
                ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
                serves = {"web": read["PORT"], "gateway": read["OLLAMAMAX_GATEWAY_PORT"]}
                assert ports.get("http") == serves.get(container["name"])
                if "metrics" in ports:
                    assert read["OLLAMAMAX_METRICS_ADDRESS"] == ("0.0.0.0", ports["metrics"])


def environment_of(process: str) -> dict[str, str]:
    """What the chart gives to a process, for `test_processes`."""
    [container] = [pod["containers"][0] for _, pod in pods("least") if pod["containers"][0]["name"] == process]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OLLAMAMAX_", "COV"))}
    return kept | {each["name"]: each["value"] for each in container["env"]}
