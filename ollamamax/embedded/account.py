"""The user that PostgreSQL runs as where root starts it: a number that nobody else has, chosen once and remembered.

No line of /etc/passwd is written: the kernel asks for a number alone. `nobody` would not do, because other programs run
as it, and each of them could read the data.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from ollamamax.embedded.home import Home
from ollamamax.embedded.problem import Problem

RANGE = range(60706, 61184)
"""Given to nobody, by what Linux distributions agree on (https://systemd.io/UIDS-GIDS/), and small enough for most containers."""


def of(home: Home) -> int | None:
    """The user of ``home``; ``None`` where root does not start it, and PostgreSQL runs as who does."""
    if os.geteuid() != 0:
        return None
    known = home.state().get("postgres_user")
    if isinstance(known, int) and _is_mapped(known) and not _is_known(known):
        return known
    chosen = choose()
    home.remember(postgres_user=chosen)
    return chosen


def choose() -> int:
    """A number that is no user's and no group's here, and that no process runs as. Raises `Problem`."""
    taken = {user for process in psutil.process_iter() for user in _users_of(process)}
    candidates = list(RANGE)
    random.SystemRandom().shuffle(candidates)
    for number in candidates:
        if number not in taken and _is_mapped(number) and not _is_known(number):
            return number
    raise Problem(
        f"PostgreSQL must run as another user than root, and none of the users {RANGE.start} to {RANGE.stop - 1} can be "
        "had here: start it as a user that is not root, or name a server with DATABASE_URL."
    )


def for_initdb() -> int:
    """Of the users that have a name here, one that no process runs as. `initdb` wants to know what its user is called."""
    taken = {user for process in psutil.process_iter() for user in _users_of(process)}
    named = [each.pw_uid for each in pwd.getpwall() if each.pw_uid and _is_mapped(each.pw_uid)]
    idle = [user for user in named if user not in taken]
    if not named:
        raise Problem("PostgreSQL must be set up by another user than root, and /etc/passwd names none.")
    return (idle or named)[-1]


def arguments(user: int | None, group: int | None = None) -> dict[str, Any]:
    """Arguments of `subprocess` that run a program as ``user``, in ``group`` (the user's own, unless told) and in no other."""
    return {} if user is None else {"user": user, "group": user if group is None else group, "extra_groups": []}


def give(paths: Iterable[Path], user: int | None) -> None:
    """Make ``user`` the owner; links themselves, not what they lead to."""
    if user is not None:
        for path in paths:
            os.chown(path, user, user, follow_symlinks=False)


def _is_known(number: int) -> bool:
    with contextlib.suppress(KeyError):
        pwd.getpwuid(number)
        return True
    with contextlib.suppress(KeyError):
        grp.getgrgid(number)
        return True
    return False


def _is_mapped(number: int) -> bool:
    """Whether the number exists in this user namespace: a container may have few."""
    return all(_holds(Path(f"/proc/self/{kind}_map"), number) for kind in ("uid", "gid"))


def _holds(file: Path, number: int) -> bool:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return True  # no Linux, or no /proc: the first change of owner tells
    return any(first <= number < first + count for first, _, count in (map(int, line.split()) for line in lines))


def _users_of(process: psutil.Process) -> tuple[int, ...]:
    try:
        return tuple(process.uids())
    except psutil.Error:
        return ()
