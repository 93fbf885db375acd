"""The blob store holds whole, verified files under the name of their content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from models_registry.blobstore.store import BlobStore


def test_a_file_is_found_under_its_digest(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"abc" * 1000)
    store = BlobStore(tmp_path / "blobs")
    digest, size = store.add(file)
    assert digest == f"sha256:{hashlib.sha256(b'abc' * 1000).hexdigest()}"
    assert size == 3000
    assert store.path(digest).read_bytes() == file.read_bytes()
    assert store.add(file) == (digest, size)
    assert [p.name for p in store.root.iterdir()] == ["sha256"]


@pytest.mark.parametrize(
    "digest",
    ["", "sha256:", "sha256:../../etc/passwd", "sha256:" + "A" * 64, "md5:" + "a" * 64, f"sha256:{'a' * 64}\n"],
)
def test_only_digests_are_names(tmp_path: Path, digest: str) -> None:
    with pytest.raises(ValueError, match="digest"):
        BlobStore(tmp_path).path(digest)


def test_a_copy_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"abc")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    store = BlobStore(tmp_path / "blobs")
    with pytest.raises(OSError, match="No space"):
        store.add(file)
    assert list(store.root.rglob("*")) == []
