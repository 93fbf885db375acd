"""A real server that speaks S3's protocol (SeaweedFS), with one bucket and one key."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from ollamamax.blobs.bucket import BucketPlace
from tests.servers import free_port, short_folder

BUCKET = "models"
KEY_ID, KEY = "AKIATESTTESTTEST", "a-key-of-the-tests-and-of-nothing-else"
ACTIONS = ["Admin", "Read", "Write", "List"]


class ObjectStore:
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._log = folder / "log"
        keys = folder / "keys.json"
        keys.write_text(
            json.dumps(
                {"identities": [{"name": "tests", "credentials": [{"accessKey": KEY_ID, "secretKey": KEY}], "actions": ACTIONS}]}
            )
        )  # fmt: skip
        data = folder / "data"
        data.mkdir()
        ports = {
            "master.port": free_port(), "master.port.grpc": free_port(), "volume.port": free_port(), "volume.port.grpc": free_port(),
            "filer.port": free_port(), "filer.port.grpc": free_port(), "s3.port": self.port, "s3.port.grpc": free_port(),
            "s3.port.iceberg": 0, "s3.port.lance": 0,
        }  # fmt: skip
        self._command = [
            str(Path(sys.executable).with_name("weed")), "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-s3.autoCreateBucket", f"-s3.config={keys}",
            "-s3.iam=false", "-master.volumeSizeLimitMB=64", "-volume.max=20", *(f"-{name}={port}" for name, port in ports.items()),
        ]  # fmt: skip
        self._folder = folder
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            # Its own folder as its home, so that no configuration of this machine's user counts.
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, cwd=self._folder, env={"HOME": str(self._folder)}
            )
        end = time.monotonic() + 60
        while not self._is_ready():
            if time.monotonic() > end or self._process.poll() is not None:
                raise AssertionError(f"the object store did not start: {self._log.read_text()[-3000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def place(self, prefix: str, *, key: str = KEY) -> BucketPlace:
        return BucketPlace(BUCKET, prefix, self.address, key_id=KEY_ID, key=key)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _is_ready(self) -> bool:
        """Whether it takes an object; the first one makes the bucket."""
        probe = S3Store(
            BUCKET,
            config={"endpoint": self.address, "access_key_id": KEY_ID, "secret_access_key": KEY, "region": "us-east-1"},
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )
        try:
            obstore.put(probe, "ready", b"1")
        except BaseError:
            return False
        return True


@contextlib.contextmanager
def object_store() -> Iterator[ObjectStore]:
    folder = short_folder("s3")
    store = ObjectStore(folder)
    try:
        yield store
    finally:
        store.kill()
        shutil.rmtree(folder, ignore_errors=True)
