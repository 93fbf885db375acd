"""Where a command speaks to and as whom: `OLLAMAMAX_URL` and `OLLAMAMAX_API_KEY`, or a file that only its user can read."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click
import msgspec

from ollamamax.kernel.addresses import AddressRefused, checked_address
from ollamamax.remote.exits import CommandFailed, ExitStatus

URL, KEY = "OLLAMAMAX_URL", "OLLAMAMAX_API_KEY"
INSECURE = "OLLAMAMAX_INSECURE_HTTP"
_FILE = "login.json"


class RemoteLogin(msgspec.Struct, forbid_unknown_fields=True):
    """``url`` without its last slash."""

    url: str
    key: str
    insecure_http: bool = False


def folder() -> Path:
    """Of what commands keep for their user: `$XDG_CONFIG_HOME/ollamamax`, or what the system has for it."""
    return Path(click.get_app_dir("ollamamax"))


def read() -> RemoteLogin:
    """Both from the environment, or both from the file: a key is never sent to another address than the one it was given for. Raises `CommandFailed`."""
    url, key = os.environ.get(URL, ""), os.environ.get(KEY, "")
    if bool(url) != bool(key):
        raise CommandFailed(f"{URL} and {KEY} go together: one of them is not set.", ExitStatus.USAGE)
    if url:
        return _checked(RemoteLogin(url, key.strip(), os.environ.get(INSECURE, "") == "1"))
    file = folder() / _FILE
    try:
        mode, data = file.stat().st_mode, file.read_bytes()
    except FileNotFoundError:
        raise CommandFailed(
            f"Nobody is logged in: `ollamamax login URL`, or set {URL} and {KEY}.", ExitStatus.USAGE, code="no_login"
        ) from None
    except OSError as error:
        raise CommandFailed(f"{file} cannot be read: {error.strerror}.", ExitStatus.USAGE) from None
    if os.name == "posix" and mode & 0o077:
        raise CommandFailed(f"{file} holds a key, and others can read it: chmod 600 {file}", ExitStatus.USAGE)
    try:
        return _checked(msgspec.json.decode(data, type=RemoteLogin))
    except msgspec.DecodeError as error:
        raise CommandFailed(f"{file} is not what `login` wrote ({error}): log in again.", ExitStatus.USAGE) from None


def _checked(login: RemoteLogin) -> RemoteLogin:
    try:
        url = checked_address(login.url, insecure_http=login.insecure_http)
    except AddressRefused as error:
        raise CommandFailed(str(error), ExitStatus.USAGE) from None
    if not login.key.isascii() or not login.key.isprintable() or " " in login.key:
        raise CommandFailed("What was given as the API key is none.", ExitStatus.USAGE)
    return msgspec.structs.replace(login, url=url)


def write(login: RemoteLogin) -> Path:
    """Where it is kept, for its user alone. What was there is replaced at once or not at all. Raises `CommandFailed`."""
    checked, place = _checked(login), folder()
    write_private(place / _FILE, msgspec.json.encode(checked))
    return place / _FILE


def write_private(file: Path, data: bytes) -> None:
    """Raises `CommandFailed`."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=file.parent)  # made 0600
        try:
            with os.fdopen(handle, "wb") as made:
                made.write(data)
            Path(name).replace(file)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CommandFailed(f"{file} cannot be written: {error.strerror}.", ExitStatus.USAGE) from None


def forget() -> bool:
    """Whether there was one."""
    file = folder() / _FILE
    there = file.exists()
    file.unlink(missing_ok=True)
    return there
