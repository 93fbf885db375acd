"""The doctor finds each fault, says what to do, and its bundle holds no secret wherever one was put."""

from __future__ import annotations

import datetime
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import trustme
from django.conf import settings
from django.core.management import call_command

from ollamamax import env
from ollamamax.bus.sentinels import ToldPrimary
from ollamamax.contract.loop_state import LoopState
from ollamamax.doctor import bundle, failover, fleet, machine, stores
from ollamamax.doctor.diagnosis import Diagnosis, Grade, worst

NOW = datetime.datetime.now(datetime.UTC)
GOOD_REDIS = {"valkey_version": "9.1.0", "redis_version": "7.2.4", "aof_enabled": 1, "maxmemory": 0}
GOOD_POSTGRES = {"server_version_num": "180000", "fsync": "on", "max_connections": "100"}


def codes(found: list[Diagnosis]) -> set[str]:
    assert all(each.remedy for each in found if each.grade), "what is wrong comes with what to do"
    return {each.code for each in found}


@pytest.mark.parametrize(
    ("told", "configured", "ahead", "code", "grade"),
    [
        ({}, {"maxmemory-policy": "noeviction", "aclfile": "/x"}, 0.1, "redis", Grade.FINE),
        ({}, {"maxmemory-policy": "allkeys-lru", "aclfile": "/x"}, 0, "redis_evicts", Grade.FAULT),
        ({"maxmemory_policy": "volatile-ttl"}, {}, 0, "redis_evicts", Grade.FAULT),
        ({"aof_enabled": 0}, {}, 0, "redis_forgets", Grade.WARNING),
        ({"valkey_version": "", "redis_version": "6.2.1"}, {}, 0, "redis_old", Grade.FAULT),
        ({"maxmemory": 100, "used_memory": 90}, {}, 0, "redis_full", Grade.WARNING),
        ({"aof_last_write_status": "err"}, {}, 0, "redis_disk", Grade.FAULT),
        ({}, {"maxmemory-policy": "noeviction", "aclfile": ""}, 0, "redis_users", Grade.WARNING),
        ({}, {}, -3.0, "clock", Grade.WARNING),
    ],
)
def test_of_redis(told: dict[str, Any], configured: dict[str, str], ahead: float, code: str, grade: Grade) -> None:
    found = stores.judge_redis("Redis", GOOD_REDIS | told, configured, ahead, local=False)
    assert codes(found) == {code}
    assert worst(found) == grade


@pytest.mark.parametrize(
    ("given", "ahead", "sessions", "is_super", "safe", "code", "grade"),
    [
        ({}, 0, 5, False, True, "postgres", Grade.FINE),
        ({"server_version_num": "130004"}, 0, 5, False, True, "postgres_old", Grade.FAULT),
        ({"fsync": "off"}, 0, 5, False, True, "postgres_loses", Grade.FAULT),
        ({"synchronous_commit": "off"}, 0, 5, False, True, "postgres_loses", Grade.FAULT),
        ({"autovacuum": "off"}, 0, 5, False, True, "postgres_vacuum", Grade.WARNING),
        ({}, 0, 95, False, True, "postgres_connections", Grade.WARNING),
        ({}, 0, 5, True, True, "postgres_superuser", Grade.WARNING),
        ({}, 0, 5, False, False, "postgres_plain", Grade.FAULT),
        ({}, 60, 5, False, True, "clock", Grade.WARNING),
    ],
)
def test_of_postgres(
    given: dict[str, str], ahead: float, sessions: int, is_super: bool, safe: bool, code: str, grade: Grade
) -> None:
    found = stores.judge_postgres(GOOD_POSTGRES | given, ahead, sessions, is_super, safe)
    assert codes(found) == {code}
    assert worst(found) == grade


HERE, THERE = ToldPrimary(("a", 1), 2), ToldPrimary(("b", 1), 1)


@pytest.mark.parametrize(
    ("answers", "replicas", "configured", "code"),
    [
        ((HERE, HERE, HERE), 1, {"min-replicas-to-write": "1"}, "sentinels"),
        ((HERE, HERE, HERE), 1, {}, "sentinels"),
        ((HERE, HERE, None), 1, {}, "sentinel_silent"),
        ((HERE, None, None), 1, {}, "sentinels_silent"),
        ((HERE, HERE, THERE), 1, {}, "sentinels_differ"),
        ((HERE,), 1, {}, "sentinels_few"),
        ((HERE, HERE, HERE), 0, {}, "redis_alone"),
        ((HERE, HERE, HERE), 2, {"min-replicas-to-write": "0"}, "redis_cut_off"),
    ],
)
def test_of_sentinels(
    answers: tuple[ToldPrimary | None, ...], replicas: int, configured: dict[str, str], code: str
) -> None:
    places = {(f"s{number}", 1): told for number, told in enumerate(answers)}
    assert codes(failover.judge_sentinels("bus", places, replicas, configured)) == {code}


@pytest.mark.parametrize(
    ("roles", "following", "synchronous", "code"),
    [
        ((True, False), 1, True, "postgres_hosts"),
        ((True, None), 1, True, "postgres_host_silent"),
        ((True, True), 1, True, "postgres_split"),
        ((True, False), 0, True, "postgres_alone"),
        ((True, False), 1, False, "postgres_asynchronous"),
    ],
)
def test_of_hosts(roles: tuple[bool | None, ...], following: int, synchronous: bool, code: str) -> None:
    assert codes(failover.judge_hosts(roles, following, synchronous)) == {code}


def test_of_nodes_and_loops() -> None:
    assert codes(fleet.judge_nodes({}, {}, "0.2.0")) == {"no_nodes"}
    assert [each.grade for each in fleet.judge_nodes({"a": "gpu-1"}, {}, "0.2.0")] == [Grade.FAULT]
    assert codes(fleet.judge_loops([], 0)) == {"no_controller"}
    loop = LoopState(loop="x", process="p", began_at=1000.0, took_ms=1, behind_ms=0, every_ms=1000)
    assert codes(fleet.judge_loops([loop], 1010)) == {"loops"}
    assert codes(fleet.judge_loops([loop], 1100)) == {"loops_stopped"}
    failing = LoopState(loop="x", process="p", began_at=1000.0, took_ms=1, behind_ms=0, every_ms=1000, error="KeyError")
    assert codes(fleet.judge_loops([failing], 1001)) == {"loops_failing"}


def test_of_certificates(tmp_path: Path) -> None:
    authority = trustme.CA()

    def found(host: str = "ai.example", days: float = 90, named: str = "ai.example", key_of: Any = None) -> set[str]:
        made = authority.issue_cert(
            named, not_after=NOW + datetime.timedelta(days=days), not_before=NOW - datetime.timedelta(days=100)
        )
        cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        cert.write_bytes(made.cert_chain_pems[0].bytes())
        key.write_bytes((key_of or made).private_key_pem.bytes())
        key.chmod(0o640)
        return codes(machine.certificate(str(cert), str(key), host, NOW))

    assert found() == {"certificate"}
    assert found("gpu.ai.example", named="*.ai.example") == {"certificate"}
    assert found("other.example") == {"certificate_name"}
    assert found(days=-1) == {"certificate_expired"}
    assert found(days=3) == {"certificate_ends"}
    assert found(key_of=authority.issue_cert("ai.example")) == {"certificate_key"}
    (tmp_path / "key.pem").chmod(0o644)
    assert "key_open" in codes(machine.certificate(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"), "", NOW))
    assert codes(machine.certificate("/none", "/none", "", NOW)) == {"certificate_unreadable"}


def test_of_files_that_others_may_read(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "secrets.json").write_text("{}")
    (tmp_path / "secrets.json").chmod(0o600)
    assert codes(machine.permissions(tmp_path)) == {"permissions"}
    (tmp_path / "secrets.json").chmod(0o640)
    assert codes(machine.permissions(tmp_path)) == {"file_open"}
    (tmp_path / "secrets.json").chmod(0o600)
    tmp_path.chmod(0o755)
    assert codes(machine.permissions(tmp_path)) == {"file_open"}


def test_a_running_database_and_redis_are_examined_and_the_exit_code_is_the_worst(
    db: None, valkey: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "HOME", tmp_path)
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "--json", "--bundle", str(tmp_path / "b.tar.gz"))
    told = json.loads(capsys.readouterr().out)
    grades = {each["code"]: each["grade"] for each in told}
    # The tests' servers are made to be quick, and nothing runs beside them.
    assert {name for name, grade in grades.items() if grade == "fault"} == {"postgres_loses", "no_controller"}
    assert {"postgres_superuser", "redis_forgets", "no_nodes", "no_backup"} <= grades.keys()
    assert grades["migrations"] == "fine"
    assert ended.value.code == 2
    assert {name.partition("/")[2] for name in contents(tmp_path / "b.tar.gz")} == {
        "doctor.json", "settings.json", "system.json", "machine.json"
    }  # fmt: skip


def contents(file: Path) -> dict[str, str]:
    with tarfile.open(file) as tar:
        return {m.name: (tar.extractfile(m) or io.BytesIO()).read().decode() for m in tar}


def test_the_bundle_holds_no_secret_wherever_one_was_put(tmp_path: Path) -> None:
    """One in every secret setting, in every file that holds some, and each of them in the logs, in several forms."""
    home = tmp_path / "home"
    given: dict[str, str] = {}
    planted: list[str] = []

    def secret(where: str) -> str:
        planted.append(f"planted{len(planted):03}{''.join(filter(str.isalnum, where)).lower()}")
        return planted[-1]

    apart = {"OLLAMAMAX_TRACE_HEADERS", "OLLAMAMAX_OTHER_REGIONS"}
    for setting in env.SETTINGS:
        if (setting.secret and setting.name not in apart) or setting.name.endswith("_URL"):
            value = secret(setting.name)
            given[setting.name] = f"redis://user:{value}@host/0" if setting.name.endswith("_URL") else value
    given["OLLAMAMAX_TRACE_HEADERS"] = f"authorization={secret('headers')},x-other={secret('headers2')}"
    given["OLLAMAMAX_OTHER_REGIONS"] = f"eu=rediss://u:{secret('region')}@eu:6379/0"
    given["OLLAMAMAX_SMTP_PASSWORD_FILE"] = str(tmp_path / "smtp")
    (tmp_path / "smtp").write_text(secret("smtp") + "\n")
    for name in ("secrets.json", "bootstrap.json", "run/settings.json", "node-1/identity.json"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(json.dumps({"a": secret(name), "b": {"c": f"redis://n:{secret(name)}@h:1/0"}}))
    others = {
        "-----BEGIN PRIVATE KEY-----\nMIIplantedpem\n-----END PRIVATE KEY-----": "MIIplantedpem",
        "AGE-SECRET-KEY-1PLANTEDAGE0000": "PLANTEDAGE",
        "Authorization: Bearer plantedbearer123": "plantedbearer123",
        "eyJhbGciOiJSUzI1NiJ9.eyJplantedjwt.sigplanted": "plantedjwt",
        '{"password": "plantedpassword"}': "plantedpassword",
        "sk-plantedform12345": "plantedform",
        "from planted.person@example.org": "planted.person",
    }
    (home / "logs").mkdir()
    lines = [
        *(f"failed with {each} at 3" for each in planted),
        *(json.dumps({"event": text}) for text in others),
        *others,
    ]
    (home / "logs" / "web.log").write_text("\n".join(lines) + "\nthe end\n")
    bundle.write(tmp_path / "b.tar.gz", {"settings": {"held": given, "lines": lines}}, home, given)
    held = contents(tmp_path / "b.tar.gz")
    assert held["ollamamax-support/logs/web.log"].endswith("the end\n")
    assert "failed with *** at 3" in held["ollamamax-support/logs/web.log"]
    for text in held.values():
        assert [each for each in (*planted, *others.values()) if each in text] == []
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o777 == 0o600
