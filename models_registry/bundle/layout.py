"""A bundle's file: an OCI image layout in a tar (https://github.com/opencontainers/image-spec/blob/main/image-layout.md), and the index's signature. Pure.

Nothing is unpacked by the names that a file gives: members are looked up by those that must be there, with the sizes that they must have, and
whatever else is in it is refused. There is no compression, so that a file is as large as what is in it.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec

from models_registry import manifest as manifests
from models_registry.bundle.signing import BundleInvalid
from models_registry.distribution import image as images
from models_registry.distribution.faults import RegistryFault
from models_registry.manifest import Layer

LAYOUT, INDEX, SIGNATURE = "oci-layout", "index.json", "ollamamax-signature.json"
LAYOUT_BYTES = b'{"imageLayoutVersion":"1.0.0"}'
MOST_MEMBERS = 10_000
MOST_SMALL = 4 << 20
"""Bytes of a member that is read as a whole."""
MOST_MODELS = 200
_BLOCK = 512
_PIECE = 1 << 20
_BLOB = re.compile(r"blobs/sha256/[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REF = "org.opencontainers.image.ref.name"
_FACTS = "vnd.ollamamax.model"
"""The annotation that holds `BundledModel`, in JSON."""


class BundledModel(msgspec.Struct, forbid_unknown_fields=True):
    """One version as a model has it. ``version`` is the digest of its canonical manifest, which is a blob of the bundle."""

    name: str
    channels: list[str]
    version: str
    card: str = ""
    licence: str = ""
    tags: list[str] = []


@dataclass(frozen=True)
class BundledImage:
    """``body``: the manifest as registries have it; ``manifest``: the version's own."""

    facts: BundledModel
    body: bytes
    manifest: dict[str, Any]

    @property
    def layers(self) -> list[Layer]:
        return manifests.layers_of(self.manifest)

    @property
    def kept(self) -> dict[str, int]:
        """Sizes by digest of the blobs that the version is made of."""
        config = manifests.image_config_of(self.manifest)
        return {each.digest: each.size for each in (*self.layers, *([config] if config else []))}

    @property
    def needed(self) -> dict[str, int]:
        """The same of what the image is made of: one more, where the version has no config of its own."""
        config = images.read(self.body, "").config
        return {each.digest: each.size for each in (*self.layers, *([config] if config else []))}


def canonical(manifest: dict[str, Any]) -> bytes:
    """The bytes whose digest is the version's."""
    return json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def index_of(found: Iterable[BundledImage]) -> bytes:
    entries = [
        {
            "mediaType": manifests.OCI_IMAGE,
            "digest": digest_of(each.body),
            "size": len(each.body),
            "annotations": {
                **({_REF: f"{each.facts.name}:{each.facts.channels[0]}"} if each.facts.channels else {}),
                _FACTS: msgspec.json.encode(each.facts).decode(),
            },
        }
        for each in found
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": entries}).encode()


@dataclass(frozen=True)
class BundleMember:
    """``data`` where it is small, else ``digest``: what a blob of the store has."""

    name: str
    size: int
    data: bytes | None = None
    digest: str = ""

    @property
    def header(self) -> bytes:
        made = tarfile.TarInfo(self.name)
        made.size, made.mode = self.size, 0o644
        return made.tobuf(tarfile.GNU_FORMAT)

    @property
    def padding(self) -> bytes:
        return bytes(-self.size % _BLOCK)


END = bytes(2 * _BLOCK)


def members_of(found: list[BundledImage], signature: bytes, index: bytes) -> list[BundleMember]:
    """In their order: what says who made it comes before what is large."""
    members = [_small(LAYOUT, LAYOUT_BYTES), _small(INDEX, index), _small(SIGNATURE, signature)]
    blobs: dict[str, BundleMember] = {}
    for each in found:
        for data in (each.body, canonical(each.manifest)):
            digest = digest_of(data)
            blobs.setdefault(digest, _small(_name_of(digest), data))
        for digest, size in each.needed.items():
            blobs.setdefault(digest, BundleMember(_name_of(digest), size, digest=digest))
    return [*members, *blobs.values()]


def size_of(members: Iterable[BundleMember]) -> int:
    """Bytes of the whole file."""
    return sum(_BLOCK + each.size + len(each.padding) for each in members) + len(END)


def _small(name: str, data: bytes) -> BundleMember:
    return BundleMember(name, len(data), data)


def _name_of(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


class BundleReader:
    """Reads a file that can be sought in. Raises `BundleInvalid` for whatever is not as it must be."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._members = dict(self._headers(size))
        if self.small(LAYOUT) != LAYOUT_BYTES:
            raise BundleInvalid("The file is no bundle: it is not an OCI image layout of version 1.0.0.")
        self.index, self.signature = self.small(INDEX), self.small(SIGNATURE)

    def _headers(self, size: int) -> Iterator[tuple[str, tuple[int, int]]]:
        at, seen = 0, set[str]()
        while True:
            block = self._exactly(at, _BLOCK)
            at += _BLOCK
            if block == bytes(_BLOCK):
                break
            try:
                found = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
            except (tarfile.HeaderError, UnicodeDecodeError, ValueError):
                raise BundleInvalid(
                    "The file is no bundle, or is damaged: a header of its tar cannot be read."
                ) from None
            plain = found.type in {tarfile.REGTYPE, tarfile.AREGTYPE} and found.size >= 0
            if not plain or not (found.name in {LAYOUT, INDEX, SIGNATURE} or _BLOB.fullmatch(found.name)):
                raise BundleInvalid(f"A bundle has no member like {found.name[:100]!r}.")
            if found.name in seen or len(seen) == MOST_MEMBERS:
                raise BundleInvalid("The bundle has a member twice, or too many of them.")
            seen.add(found.name)
            yield found.name, (at, found.size)
            at += found.size + -found.size % _BLOCK
            if at > size:
                raise BundleInvalid("The bundle is cut.")
        if at + _BLOCK > size or self._exactly(at, _BLOCK) != bytes(_BLOCK) or size != at + _BLOCK:
            raise BundleInvalid("The bundle does not end as it must.")

    def _exactly(self, at: int, count: int) -> bytes:
        self._file.seek(at)
        found = self._file.read(count)
        if len(found) != count:
            raise BundleInvalid("The bundle is cut.")
        return found

    def small(self, name: str) -> bytes:
        at, size = self._member(name)
        if size > MOST_SMALL:
            raise BundleInvalid(f"{name} has more than {MOST_SMALL} bytes.")
        return self._exactly(at, size)

    def _member(self, name: str) -> tuple[int, int]:
        if name not in self._members:
            raise BundleInvalid(f"The file is no whole bundle: {name} is not in it.")
        return self._members[name]

    def small_blob(self, digest: str) -> bytes:
        data = self.small(_name_of(digest))
        if digest_of(data) != digest:
            raise BundleInvalid(f"{digest} has other bytes.")
        return data

    def pieces(self, digest: str) -> Iterator[bytes]:
        """Of a blob; the caller compares the digest."""
        at, left = self._member(_name_of(digest))
        while left:
            piece = self._exactly(at, min(left, _PIECE))
            at, left = at + len(piece), left - len(piece)
            yield piece

    def opened(self, digest: str) -> BinaryIO:
        """One blob as a file."""
        at, size = self._member(_name_of(digest))
        return io.BufferedReader(_Part(self._file, at, size))

    def images(self) -> list[BundledImage]:
        """What is in it; afterwards every member was asked for, each of the size that it must have."""
        try:
            listed = images.read(self.index, images.OCI_INDEX)
            entries = json.loads(self.index)["manifests"]
            facts = [msgspec.json.decode(each["annotations"][_FACTS], type=BundledModel) for each in entries]
        except (RegistryFault, ValueError, KeyError, TypeError, RecursionError):
            raise BundleInvalid("The bundle's index cannot be read.") from None
        if not facts or len(facts) > MOST_MODELS:
            raise BundleInvalid(f"A bundle has 1 to {MOST_MODELS} versions.")
        found = [self._image(child, about) for child, about in zip(listed.children, facts, strict=True)]
        self._check_members(found)
        return found

    def _image(self, child: Layer, facts: BundledModel) -> BundledImage:
        body = self.small_blob(child.digest)
        if len(body) != child.size or not _DIGEST.fullmatch(facts.version):
            raise BundleInvalid("The bundle's index says what its manifests do not.")
        try:
            image = images.read(body, "")
            manifest = json.loads(self.small_blob(facts.version))
            right = canonical(manifest) == self.small_blob(facts.version)
            layers, own_config = manifests.layers_of(manifest), manifests.image_config_of(manifest)
        except (RegistryFault, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BundleInvalid("A manifest of the bundle cannot be read.") from None
        same = [(each.digest, each.size) for each in image.blobs] == [(each.digest, each.size) for each in layers]
        if not right or not same or image.weights is None or image.config is None:
            raise BundleInvalid("A version of the bundle is not the model that its manifest is.")
        if own_config is not None and own_config.digest != image.config.digest:
            raise BundleInvalid("A version of the bundle is not the model that its manifest is.")
        if not isinstance(manifest.get("config"), dict) or not isinstance(manifest.get("name"), str):
            raise BundleInvalid("A manifest of the bundle cannot be read.")
        return BundledImage(facts, body, manifest)

    def _check_members(self, found: list[BundledImage]) -> None:
        expected: dict[str, int | None] = {LAYOUT: None, INDEX: None, SIGNATURE: None}
        for each in found:
            expected |= {_name_of(digest_of(each.body)): None, _name_of(each.facts.version): None}
            for digest, size in each.needed.items():
                if expected.setdefault(_name_of(digest), size) not in {None, size}:
                    raise BundleInvalid(f"{digest} has two sizes.")
        for name, wanted in expected.items():
            if wanted is not None and self._member(name)[1] != wanted:
                raise BundleInvalid(f"{name} has {self._member(name)[1]} bytes, and not {wanted}.")
        if more := self._members.keys() - expected.keys():
            raise BundleInvalid(f"Nothing refers to {min(more)}.")


class _Part(io.RawIOBase):
    """Some bytes of a file as one of their own."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, into: Any) -> int:
        target = memoryview(into).cast("B")
        self._file.seek(self._start + self._at)
        data = self._file.read(max(0, min(len(target), self._size - self._at)))
        target[: len(data)] = data
        self._at += len(data)
        return len(data)
