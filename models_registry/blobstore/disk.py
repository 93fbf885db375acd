"""The disk that blobs lie on is not theirs alone."""

from __future__ import annotations

from ollamamax.kernel.errors import OllamaMaxError

RESERVE = 256 << 20
"""Bytes that what comes in leaves to everything else."""


class DiskFull(OllamaMaxError):
    code = "insufficient_storage"
    status = 507
