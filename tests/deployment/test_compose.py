"""The Compose file: valid by the specification's schema, closed, and with everything that it mounts; its script makes the rest."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import redis
import yaml

from ollamamax import env
from ollamamax.cli import COMMANDS
from tests.architecture.code import ROOT

COMPOSE = ROOT / "ops" / "compose"
FILE: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = {name for name, each in SERVICES.items() if str(each["image"]).startswith("ollamamax/")}
SCHEMA = json.loads((Path(__file__).parent / "compose_schema.json").read_text())


def test_it_is_valid() -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(FILE)


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_processes_are_closed_and_take_their_settings(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    if name != "node":
        assert service["command"][0] == "ollamamax"
        assert service["command"][1] in COMMANDS
        given = {key: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for key, value in service["environment"].items()}
        assert given.keys() <= {setting.name for setting in env.SETTINGS}
        secret = {"OLLAMAMAX_SECRET_KEY": "k" * 50, "DATABASE_URL": "postgresql://u@h/d", "REDIS_URL": "rediss://h/0"}
        read = env.read(secret | given | {"OLLAMAMAX_METRICS_TOKEN": "t" * 20})
        assert read["OLLAMAMAX_TLS_CERT"]


def test_what_is_mounted_is_there_or_made_by_the_script(tmp_path: Path) -> None:
    subprocess.run([COMPOSE / "prepare.sh", tmp_path], check=True, capture_output=True, timeout=100)
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = str(volume).partition(":")[0]
            if source.startswith("."):
                assert (COMPOSE / source).exists() or (tmp_path / source).exists(), (name, source)
            else:
                assert source in FILE["volumes"]
        for file in service.get("env_file", []):
            assert (tmp_path / file).exists(), (name, file)
    for target in yaml.safe_load((COMPOSE / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0][
        "static_configs"
    ]:
        assert target["targets"][0].partition(":")[0] in OURS
    given = dict(
        line.split("=", 1)
        for file in ("ollamamax", "owner")
        for line in (tmp_path / f"secrets/{file}.env").read_text().split()
    )
    env.read(given)
    for name in ("server", "postgres", "valkey", "dex"):
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            tmp_path / f"certificates/{name}.pem", tmp_path / f"certificates/{name}.key"
        )
        assert (tmp_path / f"certificates/{name}.key").stat().st_mode & 0o077 == 0
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    subprocess.run([COMPOSE / "prepare.sh", tmp_path], check=True, capture_output=True, timeout=100)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_can_read_no_key_but_its_own(name: str) -> None:
    """A node above all: whoever owns one is not who owns the installation. The script gives each key to one user; that of the authority is root's."""
    service = SERVICES[name]
    for source in (str(volume).partition(":")[0] for volume in service.get("volumes", [])):
        if source == "./certificates":
            assert service["user"] == "10001:10001"
            assert service["image"] == FILE["x-process"]["image"]
        elif source.startswith("./certificates/"):
            assert source.endswith(".pem") or source == f"./certificates/{name}.key"


def test_valkeys_users_file_lets_in_who_has_the_password(tmp_path: Path, redis_url: str) -> None:
    subprocess.run([COMPOSE / "prepare.sh", tmp_path], check=True, capture_output=True, timeout=100)
    password = re.search(r"rediss://default:(\w+)@", (tmp_path / "secrets/ollamamax.env").read_text())
    [line] = (tmp_path / "secrets/users.acl").read_text().splitlines()
    assert password
    rules = line.split()[2:]
    client = redis.Redis.from_url(redis_url)
    client.execute_command("ACL", "SETUSER", "compose", *rules)
    try:
        other = redis.Redis.from_url(redis_url.replace("redis://", f"redis://compose:{password[1]}@"))
        assert other.ping()
    finally:
        client.execute_command("ACL", "DELUSER", "compose")


def test_the_directives_of_valkeys_file_are_ones_that_it_has(redis_url: str) -> None:
    known = {
        name.decode() if isinstance(name, bytes) else name for name in redis.Redis.from_url(redis_url).config_get("*")
    }
    lines = [
        line.split()[0] for line in (COMPOSE / "valkey/valkey.conf").read_text().splitlines() if line and line[0] != "#"
    ]
    assert {line for line in lines if not line.startswith("tls")} <= known


def test_openssl_is_all_that_the_script_needs() -> None:
    assert shutil.which("openssl")
