"""A disk that fills under a running installation: what comes in is refused first, what cannot be done waits, and all is back with the room."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest

from benchmarks.product import ROOT, Place, placed
from ollamamax.embedded import environment, supervise
from ollamamax.embedded.home import Home
from ollamamax.kernel.disk import RESERVE
from tests.fakes.registry import Registry
from tests.patience import wait_for
from tests.small_disk import fill, small_disk

pytestmark = [
    pytest.mark.flow,
    pytest.mark.xdist_group("benchmarks"),
    pytest.mark.timeout(900),
]
SLOW = 300.0
"""Seconds in which each step must have come about: what was refused is tried again ever more rarely."""
MEBIBYTES = 700
QUESTION = {"model": "smollm2:135m", "max_tokens": 4, "messages": [{"role": "user", "content": "Say hello."}]}
MORE_THAN_A_LOG = 64
"""MB that PostgreSQL writes to its log until it needs another file of it."""


@dataclass
class Asking:
    """A client that asks one question after another; ``answers`` are the statuses, or the names of errors."""

    http: httpx.Client
    answers: list[int | str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        while not self._end.wait(0.05):
            try:
                self.answers.append(self.http.post("/v1/chat/completions", json=QUESTION).status_code)
            except httpx.HTTPError as error:
                self.answers.append(type(error).__name__)

    def has_more(self, count: int = 3) -> None:
        """Wait for so many more answers."""
        before = len(self.answers)
        wait_for(lambda: len(self.answers) >= before + count, SLOW)

    def stop(self) -> None:
        self._end.set()
        self._thread.join(60)


@pytest.fixture
def registry() -> Iterator[Registry]:
    made = Registry()
    yield made
    made.stop()


@pytest.fixture
def disk() -> Iterator[Path]:
    # Not below pytest's own folder, through which PostgreSQL's user may not pass.
    folder = Path("/tmp") / f"omx-full-{os.getpid()}"
    try:
        with small_disk(folder, MEBIBYTES) as made:
            yield made
    finally:
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()


def test_what_a_full_disk_does_is_over_when_there_is_room_again(disk: Path, registry: Registry) -> None:
    name = f"{registry.host}/team/tiny:1b"
    registry.publish("team/tiny:1b", registry.add(bytes(1_000_000), "model"))
    with placed(ROOT, nodes=1, home=disk / "home") as place:
        place.environ["OLLAMAMAX_PULL_REGISTRIES"] = registry.host
        key = place.up(seconds=120)
        headers = {"Authorization": f"Bearer {key}"}
        before = processes(place)
        with httpx.Client(base_url=place.url, headers=headers, timeout=60) as http, contextlib.ExitStack() as stack:
            asking = Asking(http)
            stack.callback(asking.stop)
            asking.has_more()

            fill(disk / "part", leaving=RESERVE - (16 << 20))
            for refused in (blob(http), file(http), http.post("/api/pull", json={"model": name, "stream": False})):
                assert (refused.status_code, "disk is full" in refused.text) == (507, True), refused.text
            asking.has_more()
            assert http.post("/api/v1/keys", json={"name": "before"}).status_code == 201
            assert set(asking.answers) == {200}, "what runs goes on while what comes in is refused"

            fill(disk / "fill")
            wait_for(lambda: "No space left" in http.get("/readyz").text, SLOW)
            assert http.get("/readyz").status_code == 503
            assert http.post("/api/v1/keys", json={"name": "during"}).status_code == 503
            wait_for(lambda: is_broken(place, disk, before), SLOW)
            fill(disk / "fill")  # what PostgreSQL gave up when it ended
            wait_for(lambda: "No space left" in http.get("/readyz").text, SLOW)
            assert http.post("/api/v1/keys", json={"name": "without"}).status_code == 503
            told: list[str] = []
            wait_for(lambda: refused_now(http, disk, told), SLOW)
            assert "Redis is of no use now. It refuses" in told[0], told

            (disk / "fill").unlink()
            (disk / "part").unlink()
            wait_for(lambda: http.get("/readyz").json() == {"status": "ok", "postgres": "ok", "redis": "ok"}, SLOW)
            asking.has_more()
            assert asking.answers[-2:] == [200, 200]
            assert http.post("/api/v1/keys", json={"name": "after"}).status_code == 201
            names = {each["name"] for each in http.get("/api/v1/keys").json()["results"]}
            assert names >= {"before", "after"}
            assert not names & {"during", "without"}
            assert blob(http).status_code == 400, "its digest is wrong, and that is looked at again"
        after = processes(place)
        assert after.pop("postgres") != before.pop("postgres")
        assert after == before, "nothing else had to be started again"
        _killed_on_a_full_disk(place, disk, headers)


def refused_now(http: httpx.Client, disk: Path, told: list[str]) -> bool:
    """Ask once more; what is said when it is refused goes into ``told``. One that a node was given meanwhile waits for longer."""
    fill(disk / "fill")
    with contextlib.suppress(httpx.ReadTimeout):
        answer = http.post("/v1/chat/completions", json=QUESTION, timeout=45)
        if answer.is_error:
            told.append(answer.text)
    return bool(told)


def _killed_on_a_full_disk(place: Place, disk: Path, headers: dict[str, str]) -> None:
    """The supervisor is killed while the disk is full: the next start goes on when there is room, and finds all of it."""
    home = Home(place.home)
    fill(disk / "fill")
    os.kill(home.running()["pid"], signal.SIGKILL)
    wait_for(
        lambda: "The supervisor was killed" in place.log("up").read_text(), SLOW
    )  # by the program that waits for it
    assert supervise.marked(home.instance()) == []
    refused = place.start("refused", "ollamamax.embedded", "up")
    assert refused.wait(60) == 1
    said = place.log("refused").read_text()
    assert "free some space" in said, said
    assert supervise.marked(home.instance()) == []
    (disk / "fill").unlink()
    again = place.start("again", "ollamamax.embedded", "up")
    wait_for(lambda: " is ready after " in place.log("again").read_text() or again.poll() is not None, SLOW)
    answer = httpx.post(f"{place.url}/v1/chat/completions", json=QUESTION, headers=headers, timeout=240)
    assert answer.status_code == 200, answer.text


def blob(http: httpx.Client) -> httpx.Response:
    return http.post(f"/api/blobs/sha256:{'0' * 64}", content=b"x")


def file(http: httpx.Client) -> httpx.Response:
    return http.post("/v1/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", b"{}\n")})


def processes(place: Place) -> dict[str, int]:
    """The process id of each of the supervisor's programs."""
    home = Home(place.home)
    return {each["name"]: each["pid"] for each in supervise.Supervisor(home, home.socket("supervisor")).states()}


def is_broken(place: Place, disk: Path, before: dict[str, int]) -> bool:
    """Whether PostgreSQL has ended, after it was made to write more of its log: how much it needs for another file is its own affair."""
    fill(disk / "fill")
    settings = environment.of_running(Home(place.home))
    assert settings is not None
    url = environment.plan(Home(place.home), settings).settings["DATABASE_OWNER_URL"]
    with contextlib.suppress(psycopg.Error), psycopg.connect(url, autocommit=True) as connection:
        for _ in range(MORE_THAN_A_LOG):
            connection.execute("SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000))")
    return processes(place).get("postgres") != before["postgres"]
