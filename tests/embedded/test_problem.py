"""What stops a start is one sentence that says what to do."""

from __future__ import annotations

import errno
import socket
import subprocess
from pathlib import Path

import pytest

from ollamamax.embedded import problem
from ollamamax.embedded.problem import Problem
from tests.servers import free_port


def test_a_busy_port_names_another() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Problem, match=f"Port {port} .* is used .* `make up PORT={port + 1}`"):
            problem.refuse_busy_port("127.0.0.1", port)


def test_a_free_port_passes() -> None:
    problem.refuse_busy_port("127.0.0.1", free_port())


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host"])
def test_a_foreign_host_is_refused(host: str) -> None:
    with pytest.raises(Problem, match="no address of this machine"):
        problem.refuse_busy_port(host, 8000)


def test_a_full_disk_says_how_much_is_needed(tmp_path: Path) -> None:
    problem.refuse_full_disk(tmp_path, 1)
    with pytest.raises(Problem, match="OLLAMAMAX_HOME="):
        problem.refuse_full_disk(tmp_path, 1 << 60)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EACCES, "may not write to /x"),
        (errno.EROFS, "may not write"),
        (errno.EIO, "/x: "),
    ],
)
def test_an_error_of_the_system_becomes_a_sentence(number: int, words: str) -> None:
    sentence = str(problem.from_os_error(OSError(number, "said the system", "/x"), Path("/home")))
    assert words in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_a_program_that_found_the_disk_full_is_the_same_sentence() -> None:
    failed = subprocess.CalledProcessError(1, ["/usr/bin/initdb"], stderr="write: No space left on device")
    assert "is full" in str(problem.from_failure(failed, Path("/home")))
    failed = subprocess.CalledProcessError(1, ["/usr/bin/initdb"], stderr="out of luck\n")
    assert str(problem.from_failure(failed, Path("/home"))) == "initdb failed: out of luck"


def test_a_user_without_a_name_is_told_what_to_do() -> None:
    said = "initdb: could not look up effective user ID 4242: user does not exist"
    assert "/etc/passwd" in str(
        problem.from_failure(subprocess.CalledProcessError(1, ["initdb"], stderr=said), Path("/home"))
    )
