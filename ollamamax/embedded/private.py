"""Shuts a home to everybody but its owner, also one that an older version made: folders 0700, files 0600.

Where root starts PostgreSQL as a user of its own, that user's group may pass through the home, and no more.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ollamamax.embedded import account
from ollamamax.embedded.home import Home


def secure(home: Home) -> None:
    """To be called by the holder of the lock, when nothing runs in the home. Follows no links but that of the data."""
    user = account.of(home)
    data = home.postgres.resolve() if home.postgres.exists() else None
    for path in _below(home.folder, leave=home.postgres):
        _close(path)
    if data is not None:
        for path in (data, *_below(data)):
            _close(path)
        # An older version ran it as `nobody`, or somebody else started it before.
        if user is not None and data.lstat().st_uid != user:
            account.give((data, *_below(data)), user)
    for folder in {home.folder} | ({data.parent} if data is not None else set()):
        let_pass(folder, user)


def let_pass(folder: Path, user: int | None) -> None:
    """Nobody may look into ``folder``, and only the group of ``user`` pass through."""
    if user is None:
        folder.chmod(0o700)
        return
    os.chown(folder, -1, user)
    folder.chmod(0o710)


def _close(path: Path) -> None:
    """Take from group and others what they may do; what the owner may do stays."""
    mode = path.lstat().st_mode
    if mode & 0o077 and not stat.S_ISLNK(mode):
        path.chmod(stat.S_IMODE(mode) & 0o700)


def _below(folder: Path, leave: Path | None = None) -> Iterator[Path]:
    """Everything in ``folder`` but what is in ``leave``; links are named, not followed."""
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        folders[:] = [name for name in folders if here / name != leave]
        yield from (here / name for name in (*folders, *files) if here / name != leave)
