"""Places that PostgreSQL can reach when root starts it: it must run as another user, whom a home below /root shuts out.

Where the way to the wheel's programs or to the data is closed, both go to a folder of ours outside, named after the
home, which a link in the home remembers; opening somebody's private folders is no alternative.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path

from ollamamax.embedded import account, private
from ollamamax.embedded.home import Home, write_private
from ollamamax.embedded.problem import Problem

STATE_FOLDERS = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108 - our folder in it is made by root, and checked
OWNER = "home"
"""File in an outside folder: the path of the home it belongs to."""


def is_open_to_others(path: Path) -> bool:
    """Whether any user may walk down to ``path``, links followed."""
    real = path.resolve()
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (real, *real.parents) if folder.is_dir())


def outside(home: Home) -> Path:
    """Our folder outside of ``home`` (made on the first call): root's, passable for the server's user alone."""
    name = "ollamamax-" + hashlib.sha256(os.fsencode(home.folder)).hexdigest()[:16]
    for parent in STATE_FOLDERS:
        folder = parent / name
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            continue
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            continue
        if is_open_to_others(parent):
            private.let_pass(folder, account.of(home))
            write_private(folder / OWNER, str(home.folder))
            return folder
    raise Problem(
        f"PostgreSQL must run as another user than root, whom {home.folder} shuts out, and /var/lib and /var/tmp take "
        "no data: name a folder that others may pass through with OLLAMAMAX_HOME=, as /srv/ollamamax."
    )


def data(home: Home, *, root: bool | None = None) -> Path:
    """Where the PostgreSQL cluster of ``home`` lies: in it, or outside behind a link."""
    root = os.geteuid() == 0 if root is None else root
    link = home.postgres
    if link.is_symlink():
        target = link.readlink()
        _claim(home, target.parent)
        return target
    if not root or link.exists() or is_open_to_others(home.folder.parent):
        return link
    target = outside(home) / "postgres"
    link.symlink_to(target)
    return target


def _claim(home: Home, folder: Path) -> None:
    """The home was moved, or copied: take the outside folder over, or refuse to share it."""
    if not folder.is_dir():
        raise Problem(
            f"The data of {home.folder} lay in {folder}, which is gone: restore it, or start anew with `make reset`."
        )
    owner = Path((folder / OWNER).read_text()) if (folder / OWNER).is_file() else home.folder
    if owner == home.folder:
        return
    if Home(owner).postgres.is_symlink() and Home(owner).postgres.readlink().parent == folder:
        raise Problem(
            f"{home.folder} is a copy of {owner} and would share its database: delete the copy's link {home.postgres}, "
            "which gives it an empty one of its own."
        )
    write_private(folder / OWNER, str(home.folder))


def programs(home: Home, source: Path, *, root: bool | None = None) -> Path:
    """A folder with the programs of ``source`` (`PACKAGE/pginstall` of a wheel) that the server's user can execute."""
    if can_execute(source, root=root):
        return source
    facts = (source / "bin" / "postgres").stat()
    copy = outside(home) / f"programs-{facts.st_size}-{int(facts.st_mtime)}"
    if not copy.is_dir():
        for old in copy.parent.glob("programs-*"):
            shutil.rmtree(old)
        half = copy.with_name("programs-half")
        copy_programs(source, half)
        half.rename(copy)
    return copy / source.parent.name / source.name


def can_execute(source: Path, *, root: bool | None = None) -> bool:
    """Whether the server's user, who is another when we are root, can execute the programs of ``source``."""
    root = os.geteuid() == 0 if root is None else root
    return not root or is_open_to_others(source / "bin")


def copy_programs(source: Path, target: Path) -> Path:
    """Copy the programs of ``source`` into ``target`` for everybody to execute; where they lie then."""
    package = source.parent
    copy = target / package.name / source.name
    shutil.copytree(source, copy, symlinks=True)
    # The programs look for their libraries beside the package, as wheels are built.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    for folder, _, files in os.walk(target):
        Path(folder).chmod(0o755)
        for path in (Path(folder) / file for file in files):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    return copy


def remove(home: Home) -> None:
    """Delete what lies outside for ``home``."""
    folders = {home.postgres.readlink().parent} if home.postgres.is_symlink() else set()
    name = "ollamamax-" + hashlib.sha256(os.fsencode(home.folder)).hexdigest()[:16]
    for folder in folders | {parent / name for parent in STATE_FOLDERS}:
        if (folder / OWNER).is_file() and (folder / OWNER).read_text() == str(home.folder):
            shutil.rmtree(folder)
