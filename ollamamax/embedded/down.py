"""Stops what runs in a home, says what runs, and cleans up after what was killed."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ollamamax.embedded import environment, postgres, signs, supervise
from ollamamax.embedded.home import Home
from ollamamax.embedded.problem import Problem
from ollamamax.embedded.supervise import Supervisor


def down(home: Home) -> int:
    """Stop what runs in ``home`` and wait for its end; also what outlived its supervisor. Safe to repeat."""
    if not home.folder.is_dir():
        print("OllamaMax does not run.")
        return 0
    holder = home.running()
    if pid := holder.get("pid"):
        print("Stopping ...", flush=True)
        supervise.stop(pid, home.socket("supervisor"))
    end = time.monotonic() + 30
    while (lock := home.lock()) is None:
        if time.monotonic() > end:
            raise Problem(f"OllamaMax in {home.folder} does not stop: another program holds {home.lock_file}.")
        time.sleep(0.05)
    ended = recover(home) if home.is_ours() else 0
    os.close(lock)
    print("Stopped." if holder or ended else "OllamaMax does not run.")
    return 0


def recover(home: Home) -> int:
    """End what a killed supervisor left running, and forget what it left lying; returns how many processes it ended.

    The caller holds the lock.
    """
    ended = 0
    if home.postgres.exists():
        ended += postgres.end_leftover(home.postgres.resolve())
    ended += supervise.end_leftovers(home.instance())
    if ended:
        print(f"Ended {ended} process{'es' if ended > 1 else ''} that the last run left behind.")
    if home.run.is_dir():
        for stale in home.run.iterdir():
            stale.unlink()
    home.leave_runtime()
    return ended


def status(home: Home) -> int:
    """Print each process with its state, and what is wrong with it; 0 when all run and get on, 1 when not, 3 when none runs."""
    holder = home.running()
    if not holder:
        print(f"OllamaMax does not run (home: {home.folder}).")
        return 3
    try:
        states = Supervisor(home, home.socket("supervisor")).states()
    except supervise.UNREACHABLE:
        print("OllamaMax is starting or stopping.")
        return 1
    print(f"OllamaMax at {holder.get('url')} (home: {home.folder})")
    running = [state["name"] for state in states if state["statename"] == "RUNNING"]
    settings = environment.of_running(home)
    wrong = signs.troubles(home, environment.plan(home, settings), running) if settings else {}
    for state in states:
        trouble = f"; {wrong[state['name']]}" if state["name"] in wrong else ""
        print(f"  {state['name']:12} {state['statename'].lower():10} {state['description']}{trouble}")
    return 0 if len(running) == len(states) and not wrong else 1


def tail(file: Path, lines: int = 12) -> str:
    """The last lines of a log, indented."""
    text = file.read_text(errors="replace") if file.exists() else ""
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-lines:])
