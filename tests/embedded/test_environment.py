"""What the person sets stays; the rest is made; contradictions are refused before anything starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ollamamax.embedded.environment import of_running, plan, remember
from ollamamax.embedded.home import Home
from ollamamax.embedded.problem import Problem


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def test_nothing_set_means_embedded_servers(home: Home) -> None:
    made = plan(home, {})
    assert made.postgres_port is not None
    assert made.valkey_port is not None
    assert str(made.postgres_port) in made.environ["DATABASE_URL"]
    assert made.url == "http://127.0.0.1:8000"
    assert made.nodes == 1
    assert plan(home, {}).environ == made.environ


def test_servers_named_by_the_environment_replace_the_embedded(home: Home) -> None:
    given = {"DATABASE_URL": "postgresql://a@b/c", "REDIS_URL": "rediss://a:b@c"}
    made = plan(home, given)
    assert (made.postgres_port, made.valkey_port) == (None, None)
    assert given.items() <= made.environ.items()


def test_a_wider_bind_needs_tls(home: Home) -> None:
    with pytest.raises(Problem, match="OLLAMAMAX_TLS_PROXY=1"):
        plan(home, {"HOST": "0.0.0.0"})
    made = plan(home, {"HOST": "0.0.0.0", "OLLAMAMAX_TLS_PROXY": "1", "OLLAMAMAX_PUBLIC_URL": "https://a.example"})
    assert made.url == "https://a.example"
    assert made.local_url == "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("host", "url"),
    [("::1", "http://[::1]:9000"), ("localhost", "http://localhost:9000"), ("", "http://127.0.0.1:9000")],
)
def test_the_address_is_one_to_visit(home: Home, host: str, url: str) -> None:
    made = plan(home, {"HOST": host, "PORT": "9000"})
    assert made.url == made.environ["OLLAMAMAX_PUBLIC_URL"] == url


@pytest.mark.parametrize("nodes", ["x", "-1", "65"])
def test_a_senseless_number_of_nodes_is_refused(home: Home, nodes: str) -> None:
    with pytest.raises(Problem, match="NODES is"):
        plan(home, {"NODES": nodes})


def test_a_command_reaches_what_runs_here_and_nothing_else(home: Home) -> None:
    made = plan(home, {"PORT": "9000", "SOMETHING": "else"})
    remember(home, made)
    assert of_running(home) == {}
    descriptor = home.lock()
    assert descriptor is not None
    try:
        found = of_running(home)
    finally:
        os.close(descriptor)
    assert found.items() <= made.environ.items()
    assert {"OLLAMAMAX_HOME", "OLLAMAMAX_SECRET_KEY", "DATABASE_URL", "REDIS_URL", "PORT"} <= found.keys()
    assert "SOMETHING" not in found
    assert home.settings_file.stat().st_mode & 0o777 == 0o600
    assert of_running(Home(home.folder / "elsewhere")) == {}


def test_programs_of_this_machine_need_no_proxy(home: Home) -> None:
    given = {"OLLAMAMAX_TLS_PROXY": "1", "OLLAMAMAX_PUBLIC_URL": "https://a.example"}
    assert plan(home, given).url_here == "http://127.0.0.1:8000"
    certified = {"OLLAMAMAX_TLS_CERT": "c", "OLLAMAMAX_TLS_KEY": "k", "OLLAMAMAX_PUBLIC_URL": "https://a.example"}
    assert plan(home, certified).url_here == "https://a.example"
