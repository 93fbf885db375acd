"""Blobs are stored under their digests, and under nothing else."""

from __future__ import annotations

import pytest

from models_registry.blob_keys import blob_key


def test_the_key_is_where_earlier_releases_put_the_file() -> None:
    assert blob_key("sha256:" + "ab" * 32) == f"sha256/ab/{'ab' * 32}"


@pytest.mark.parametrize(
    "digest",
    ["", "sha256:", "sha256:../../etc/passwd", "sha256:" + "A" * 64, "md5:" + "a" * 64, f"sha256:{'a' * 64}\n"],
)
def test_only_digests_are_names(digest: str) -> None:
    with pytest.raises(ValueError, match="digest"):
        blob_key(digest)
