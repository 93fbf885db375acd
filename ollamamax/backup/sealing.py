"""Files that are written whole or not at all, and sealed for the holders of age keys where there are any (https://age-encryption.org/v1).

A sealed file is one of the `age` program, too. Knows no Django.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyrage

from ollamamax.backup.archive import ArchiveBroken

_HEAD = b"age-encryption.org/v1\n"


class KeyUnusable(Exception):
    """A recipient or an identity is none, or none of the identities opens the file. The text says which."""


def new_identity(file: Path) -> str:
    """Write a new identity, readable by its owner only; returns its recipient. Raises `FileExistsError`."""
    identity = pyrage.x25519.Identity.generate()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(f"# public key: {identity.to_public()}\n{identity}\n")
    return str(identity.to_public())


def recipients_of(texts: Sequence[str]) -> list[Any]:
    """Raises `KeyUnusable`."""
    try:
        return [pyrage.x25519.Recipient.from_str(text) for text in texts]
    except pyrage.RecipientError as error:
        raise KeyUnusable("A recipient is a public key of age, as age1...: one of those given is none.") from error


def identities_in(file: Path) -> list[Any]:
    """As `age-keygen` writes them. Raises `KeyUnusable`."""
    lines = [line.strip() for line in file.read_text(errors="replace").splitlines()]
    try:
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except pyrage.IdentityError as error:
        raise KeyUnusable(f"{file} holds a line that is no identity of age.") from error
    if not found:
        raise KeyUnusable(f"{file} holds no identity of age.")
    return found


@contextlib.contextmanager
def written(file: Path, recipients: Sequence[Any]) -> Iterator[IO[bytes]]:
    """A stream whose bytes are in ``file`` afterwards, for its owner only; when the body raises there is no file."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, half = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(descriptor, "wb") as out:
            if recipients:
                with _sealed(out, recipients) as plain:
                    yield plain
            else:
                yield out
            out.flush()
            os.fsync(out.fileno())
        Path(half).replace(file)
    except BaseException:
        Path(half).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _sealed(out: IO[bytes], recipients: Sequence[Any]) -> Iterator[IO[bytes]]:
    """What is written into the pipe is sealed by a thread: its library pulls, and a tar is pushed."""
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def seal() -> None:
        with os.fdopen(reading, "rb") as plain:
            try:
                pyrage.encrypt_io(plain, out, recipients)
            except BaseException as error:  # noqa: BLE001 - told to the thread that writes
                failed.append(error)

    thread = threading.Thread(target=seal, name="seals a backup")
    thread.start()
    try:
        with os.fdopen(writing, "wb") as plain:
            yield plain
    finally:
        thread.join()
        if failed:
            raise failed[0]


@contextlib.contextmanager
def opened(file: Path, identities: Sequence[Any]) -> Iterator[IO[bytes]]:
    """The plain bytes of ``file``. Raises `KeyUnusable` for one that is sealed and that no identity opens."""
    with file.open("rb") as stored:
        if not is_sealed(file):
            yield stored
            return
        if not identities:
            raise KeyUnusable("The backup is encrypted: name the file of an identity that opens it (--identity FILE).")
        with _unsealed(stored, identities) as plain:
            yield plain


def is_sealed(file: Path) -> bool:
    with file.open("rb") as stored:
        return stored.read(len(_HEAD)) == _HEAD


@contextlib.contextmanager
def _unsealed(stored: IO[bytes], identities: Sequence[Any]) -> Iterator[IO[bytes]]:
    reading, writing = os.pipe()
    failed: list[Exception] = []

    def unseal() -> None:
        with os.fdopen(writing, "wb") as plain, contextlib.suppress(BrokenPipeError):
            try:
                pyrage.decrypt_io(stored, plain, identities)
            except Exception as error:  # noqa: BLE001 - told to the thread that reads
                failed.append(error)

    thread = threading.Thread(target=unseal, name="opens a backup")
    thread.start()
    plain = os.fdopen(reading, "rb")
    try:
        yield plain
        # The rest, which is nothing in a whole file, or the end would come before the fault is known.
        while plain.read(1 << 16):
            pass
        thread.join()
    except ArchiveBroken:
        plain.close()
        thread.join()
        if failed:
            raise _told(failed[0]) from failed[0]
        raise
    finally:
        plain.close()
        thread.join()
    if failed:
        raise _told(failed[0]) from failed[0]


def _told(error: Exception) -> Exception:
    if "matching keys" in str(error):
        return KeyUnusable("None of the identities opens this backup.")
    return ArchiveBroken(f"The encrypted backup is cut or damaged: {error}.")
