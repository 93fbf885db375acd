"""A store in a bucket that speaks S3's protocol. An object is seen by others when all of it has come, or never."""

from __future__ import annotations

import contextlib
import datetime
import secrets
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from ollamamax.blobs.staging import Staged
from ollamamax.blobs.store import Missing, checked
from ollamamax.kernel.errors import Unavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

PIECE = 256 << 10
PART = 16 << 20
PARTS_AT_ONCE = 4
"""Of an upload; so many parts are in memory."""
_TRIED_FOR = datetime.timedelta(seconds=20)
_MARK = ".store"


@dataclass(frozen=True)
class BucketPlace:
    """A bucket, the words that keys begin with there, and how it is reached.

    ``endpoint`` is empty for Amazon's own; ``key_id`` and ``key`` are empty where the machine has a role of its own;
    ``authority`` is a file with the certificates to trust, empty for the system's.
    """

    bucket: str
    prefix: str
    endpoint: str = ""
    region: str = "us-east-1"
    key_id: str = ""
    key: str = ""
    authority: str = ""


class BucketStore:
    """All processes that use it see the same objects. ``beside`` is a file of this machine: `claim` and `is_there` say what for.

    Everything raises `Unavailable` when the bucket does not answer, or refuses.
    """

    def __init__(self, place: BucketPlace, beside: Path) -> None:
        self._name = f"s3://{place.bucket}/{place.prefix}"
        self._beside = beside
        options: ClientConfig = {
            "allow_http": place.endpoint.startswith("http://"),
            "connect_timeout": "5s",
            "read_timeout": "30s",
            "timeout": "1h",
        }
        if place.authority:
            options["root_certificate"] = Path(place.authority).read_bytes()
        config: S3Config = {"region": place.region, "virtual_hosted_style_request": not place.endpoint}
        if place.endpoint:
            config["endpoint"] = place.endpoint
        if place.key_id:
            config["access_key_id"], config["secret_access_key"] = place.key_id, place.key
        self._objects = S3Store(
            place.bucket,
            prefix=place.prefix or None,
            config=config,
            client_options=options,
            retry_config={"max_retries": 5, "retry_timeout": _TRIED_FOR},
        )

    def stat(self, key: str) -> int | None:
        found = self._head(checked(key))
        return None if found is None else int(found["size"])

    def open_range(self, key: str, start: int = 0, stop: int | None = None) -> Generator[bytes]:
        size = self.stat(key)
        if size is None:
            raise Missing(key)
        stop = size if stop is None else min(stop, size)
        if start >= stop:
            return
        try:
            found = obstore.get(self._objects, key, options={"range": (start, stop)})
            for piece in found.stream(min_chunk_size=PIECE):
                yield bytes(piece)
        except FileNotFoundError:
            raise Missing(key) from None
        except BaseError as error:
            raise self._unavailable(error) from error

    def local_file(self, key: str) -> BinaryIO | None:
        return None

    def put(self, staged: Staged, key: str) -> None:
        if self.stat(key) is None:
            with self._told(), staged.location.open("rb") as file:
                obstore.put(self._objects, checked(key), file, chunk_size=PART, max_concurrency=PARTS_AT_ONCE)
        staged.discard()

    def delete(self, key: str) -> None:
        with self._told(), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._objects, checked(key))

    def keys(self, *, older_than: float) -> Iterator[str]:
        before = time.time() - older_than
        with self._told():
            for found in (each for page in obstore.list(self._objects, chunk_size=1000) for each in page):
                if found["last_modified"].timestamp() < before:
                    with contextlib.suppress(ValueError):  # somebody else's
                        yield checked(found["path"])

    def mark(self, key: str) -> str | None:
        found = self._head(checked(key))
        return None if found is None else f"{found['e_tag']}-{found['last_modified'].timestamp()}-{found['size']}"

    def create(self, key: str, data: bytes) -> bool:
        """Whether this made it: an object that is there stays as it is."""
        with self._told():
            try:
                obstore.put(self._objects, checked(key), data, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def listed(self, folder: str) -> Iterator[str]:
        """The keys below a folder, of however many levels. ``folder`` is the beginning of a key, up to a slash; empty for all."""
        with self._told():
            for found in (each for page in obstore.list(self._objects, folder or None) for each in page):
                yield found["path"]

    def folders(self, folder: str) -> list[str]:
        """The folders in a folder, by their whole names, sorted."""
        with self._told():
            found = obstore.list_with_delimiter(self._objects, folder or None)
            return sorted(found["common_prefixes"])

    def claim(self) -> None:
        """One word lies in the bucket and on this machine: whoever finds only the second looks at another bucket, and claims nothing."""
        if self._beside.exists():
            return
        word = self._word()
        if word is None:
            word = secrets.token_hex(16)
            with self._told():
                obstore.put(self._objects, _MARK, word.encode())
        self._beside.parent.mkdir(parents=True, exist_ok=True)
        new = self._beside.with_name(f"{self._beside.name}-{secrets.token_hex(4)}")
        new.write_text(word)
        new.replace(self._beside)

    def is_there(self) -> bool | None:
        try:
            if self._beside.exists():
                return self._word() == self._beside.read_text()
            return any(True for _ in self.keys(older_than=-60.0)) or None
        except Unavailable:
            return False

    def _word(self) -> str | None:
        with self._told():
            try:
                return bytes(obstore.get(self._objects, _MARK).bytes()).decode()
            except FileNotFoundError:
                return None

    def _head(self, key: str) -> Any | None:
        with self._told():
            try:
                return obstore.head(self._objects, key)
            except FileNotFoundError:
                return None

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BaseError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: BaseError) -> Unavailable:
        # The library's text holds addresses and answers of the bucket, which are nobody's business outside.
        return Unavailable(f"{self._name} cannot be used now: {type(error).__name__}.", retry_after=5)
