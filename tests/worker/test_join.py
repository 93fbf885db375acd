"""A host joins with a token, once, and its identity is its owner's alone."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cluster.worker import identity as identities
from cluster.worker.cli import main
from tests.fakes.control_plane import ControlPlane


@pytest.fixture
def control() -> Iterator[ControlPlane]:
    plane = ControlPlane()
    yield plane
    plane.stop()


def join(home: Path, url: str, *more: str, token: str = "omxj_good", stdin: str | None = None) -> Result:
    arguments = ["join", url, "--home", str(home), "--engine", "llamacpp", "--name", "n1", *more]
    return CliRunner().invoke(main, arguments, input=stdin, env={"OLLAMAMAX_JOIN_TOKEN": token})


def test_a_host_joins(control: ControlPlane, tmp_path: Path) -> None:
    result = join(tmp_path, control.url, "--slots", "3")
    assert result.exit_code == 0, result.output
    found = identities.read(tmp_path)
    assert (found.name, found.secret, found.url) == ("n1", "omxn_test", control.url)
    assert found.engine.slots == 3
    assert found.redis_url.startswith(f"redis://node.{found.node}:")
    assert stat.S_IMODE((tmp_path / "identity.json").stat().st_mode) == 0o600
    assert control.joins[0]["engine"] == "llamacpp"
    assert "omxn_test" not in result.output


def test_a_second_join_is_refused_unless_forced(control: ControlPlane, tmp_path: Path) -> None:
    join(tmp_path, control.url)
    first = identities.read(tmp_path)
    result = join(tmp_path, control.url)
    assert result.exit_code == 1
    assert "--force replaces it" in result.output
    assert identities.read(tmp_path) == first
    assert join(tmp_path, control.url, "--force").exit_code == 0
    assert identities.read(tmp_path) != first


def test_the_token_can_come_from_standard_input(control: ControlPlane, tmp_path: Path) -> None:
    assert join(tmp_path, control.url, token="-", stdin="omxj_good\n").exit_code == 0


def test_a_wrong_token_is_refused(control: ControlPlane, tmp_path: Path) -> None:
    result = join(tmp_path, control.url, token="omxj_bad")
    assert result.exit_code == 1
    assert "The join token was refused: The join token is wrong or expired." in result.output
    assert not (tmp_path / "identity.json").exists()


def test_an_address_nobody_listens_at_is_said_so(tmp_path: Path) -> None:
    result = join(tmp_path, "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "http://127.0.0.1:1 cannot be reached" in result.output


def test_another_server_is_said_so(control: ControlPlane, tmp_path: Path) -> None:
    result = join(tmp_path, control.url + "/elsewhere")
    assert "is not an OllamaMax" in result.output


def test_plain_http_to_another_machine_is_refused(tmp_path: Path) -> None:
    result = join(tmp_path, "http://192.0.2.1:8000")
    assert result.exit_code == 1
    assert "is not encrypted" in result.output


def test_the_address_of_redis_can_be_another_from_here(control: ControlPlane, tmp_path: Path) -> None:
    join(tmp_path, control.url, "--redis-url", "rediss://redis.example:6380/0")
    found = identities.read(tmp_path)
    assert found.redis_url == f"rediss://node.{found.node}:password@redis.example:6380/0"


def test_an_identity_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text("{")
    result = CliRunner().invoke(main, ["run", "--home", str(tmp_path)])
    assert result.exit_code == 1
    assert "join --force" in result.output


def test_a_server_for_models_needs_its_address(tmp_path: Path) -> None:
    arguments = ["join", "http://127.0.0.1:1", "--home", str(tmp_path), "--engine", "openai", "--token", "t"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "--engine-url" in result.output


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:8000", "http://"])
def test_what_is_no_address_is_refused(tmp_path: Path, url: str) -> None:
    assert "is not an address" in join(tmp_path, url).output


def test_a_host_that_has_not_joined_does_not_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["run", "--home", str(tmp_path)])
    assert result.exit_code == 1
    assert "Run `ollamamax-node join`" in result.output
