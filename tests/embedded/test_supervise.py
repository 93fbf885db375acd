"""A real supervisord: order, restarts, and what is left when it is killed, which is nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ollamamax.embedded import processes, supervise
from ollamamax.embedded.down import down, recover, status
from ollamamax.embedded.home import Home
from ollamamax.embedded.processes import Process
from ollamamax.embedded.supervise import INSTANCE, Child
from ollamamax.embedded.up import _hold
from tests.patience import wait_for

SAYS_WHEN_IT_ENDS = """
import pathlib, signal, sys, time
def end(*_):
    with open(sys.argv[1], "a") as file:
        file.write(sys.argv[2] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[1] + "." + sys.argv[2]).touch()
while True: time.sleep(1)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "50% of a 'home' #1 ; x")
    home.create()
    yield home
    for process in supervise.marked(home.instance()):
        process.kill()


def sleeper(home: Home, name: str, order: int, on_orphaned: int = signal.SIGKILL) -> Process:
    command = [sys.executable, "-c", SAYS_WHEN_IT_ENDS, str(home.folder / "ends"), name]
    return Process(name, command, order, on_orphaned=on_orphaned, without=["A_SECRET"])


def started(home: Home, *processes: Process) -> Child:
    lock = home.lock()
    assert lock is not None
    child = Child.start(home, processes, {**os.environ, "A_SECRET": "x"}, lock, orphan=True)
    _hold(lock, child.pid, "http://here")
    os.close(lock)
    for process in processes:
        child.begin(process.name)
        wait_for((home.folder / f"ends.{process.name}").exists)
    return child


def test_what_started_last_ends_first(home: Home) -> None:
    started(home, sleeper(home, "server", 10), sleeper(home, "web", 20), sleeper(home, "node", 30))
    assert down(home) == 0
    assert (home.folder / "ends").read_text().split() == ["node", "web", "server"]
    assert supervise.marked(home.instance()) == []
    assert home.running() == {}


def test_stopping_twice_is_harmless(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    started(home, sleeper(home, "web", 20))
    assert down(home) == down(home) == 0
    assert capsys.readouterr().out.endswith("Stopped.\nOllamaMax does not run.\n")


def test_a_process_that_dies_is_started_again(home: Home) -> None:
    child = started(home, sleeper(home, "web", 20))
    (before,) = child.states()
    os.kill(before["pid"], signal.SIGKILL)
    wait_for(lambda: child.states()[0]["pid"] not in {0, before["pid"]})
    down(home)


def test_a_killed_supervisor_leaves_nothing(home: Home) -> None:
    child = started(home, sleeper(home, "server", 10), sleeper(home, "web", 20))
    os.kill(child.pid, signal.SIGKILL)
    wait_for(lambda: supervise.marked(home.instance()) == [])
    assert home.lock() is not None


def test_what_outlives_its_supervisor_is_ended_by_the_next_start(home: Home) -> None:
    """As on systems whose kernel does not tell children of their parent's death."""
    child = started(home, sleeper(home, "web", 20, on_orphaned=0))
    (facts,) = child.states()
    os.kill(child.pid, signal.SIGKILL)
    child.process.wait()
    assert psutil.pid_exists(facts["pid"])
    lock = home.lock()
    assert lock is not None
    assert recover(home) == 1
    assert supervise.marked(home.instance()) == []
    assert list(home.run.iterdir()) == []


def test_what_ignores_the_polite_signal_is_killed(home: Home) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(99)"
    environ = {**os.environ, INSTANCE: home.instance()}
    with psutil.Popen([sys.executable, "-c", deaf], env=environ, stdout=-1) as process:
        assert process.stdout.readline()
        assert supervise.end_leftovers(home.instance(), seconds=0.2) == 1
        assert not process.is_running()


def test_a_secret_does_not_reach_a_process_that_must_not_have_it(home: Home) -> None:
    child = started(home, sleeper(home, "node", 30))
    (facts,) = child.states()
    assert "A_SECRET" not in psutil.Process(facts["pid"]).environ()
    down(home)


def test_what_nobody_waits_for_lets_the_others_go_first(home: Home) -> None:
    background = [processes.controller(home), processes.batches(home)]
    programs = [replace(p, command=sleeper(home, p.name, p.order).command) for p in [*background, processes.web(home)]]
    child = started(home, *programs)
    own = os.nice(0)
    assert {facts["name"]: psutil.Process(facts["pid"]).nice() - own for facts in child.states()} == {
        "controller": processes.BACKGROUND,
        "batches": processes.BACKGROUND,
        "web": 0,
    }
    down(home)


def test_no_path_or_secret_is_in_the_configuration(home: Home) -> None:
    text = supervise.configuration([sleeper(home, "web", 20)])
    assert str(home.folder) not in text


def test_the_supervisor_s_files_are_for_their_owner(home: Home) -> None:
    started(home, sleeper(home, "web", 20))
    for file in [*home.run.iterdir(), *home.logs.iterdir()]:
        assert file.stat().st_mode & 0o077 == 0 or file.parent.stat().st_mode & 0o077 == 0
    down(home)


def test_a_process_that_cannot_start_is_noticed(home: Home) -> None:
    broken = Process("web", [sys.executable, "-c", "raise SystemExit('no such luck')"], 20)
    lock = home.lock()
    assert lock is not None
    child = Child.start(home, [broken], os.environ, lock, orphan=True)
    _hold(lock, child.pid, "")
    os.close(lock)
    child.begin("web")
    wait_for(lambda: child.has_failed("web"))
    wait_for(lambda: "no such luck" in (home.logs / "web.log").read_text())
    down(home)


PARENT = """
import os, sys
from pathlib import Path
from ollamamax.embedded.home import Home
from ollamamax.embedded.processes import Process
from ollamamax.embedded.supervise import Child
home = Home(Path(sys.argv[1]))
child = Child.start(home, [Process("web", ["/bin/sleep", "60"], 20)], os.environ, home.lock(), orphan=False)
child.begin("web")
print("begun", flush=True)
os.kill(os.getpid(), 9)
"""


def test_the_supervisor_ends_with_its_parent_when_it_is_told_to(home: Home) -> None:
    killed = subprocess.run([sys.executable, "-c", PARENT, home.folder], stdout=subprocess.PIPE, text=True)
    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, "begun\n")
    wait_for(lambda: supervise.marked(home.instance()) == [])


def test_status_tells_what_runs(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(home) == 3
    child = started(home, sleeper(home, "web", 20))
    wait_for(lambda: child.states()[0]["statename"] == "RUNNING")
    assert status(home) == 0
    assert "http://here" in capsys.readouterr().out
    down(home)
