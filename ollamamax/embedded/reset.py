"""Deletes an installation's data, after asking."""

from __future__ import annotations

import os
import shutil
import sys

from ollamamax.embedded import reach
from ollamamax.embedded.down import down
from ollamamax.embedded.home import Home
from ollamamax.embedded.problem import Problem


def reset(home: Home, *, yes: bool) -> int:
    """Stop what runs in ``home`` and delete all of it. Asks on the terminal unless ``yes``."""
    if not home.folder.exists():
        print("There is nothing to delete.")
        return 0
    if not home.is_ours():
        raise Problem(f"{home.folder} was not made by OllamaMax: delete it yourself if you mean to.")
    if not yes:
        if not sys.stdin.isatty():
            raise Problem("`make reset` deletes all data and nobody is there to be asked: say `make reset YES=1`.")
        answer = input(f"Delete every user, key, model and record in {home.folder}? Type yes to go on: ")
        if answer.strip().lower() != "yes":
            print("Nothing was deleted.")
            return 1
    down(home)
    lock = home.lock()
    if lock is None:
        raise Problem("OllamaMax was started again meanwhile: nothing was deleted.")
    reach.remove(home)
    home.leave_runtime()
    shutil.rmtree(home.folder)
    os.close(lock)
    print("Deleted.")
    return 0
