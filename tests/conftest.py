"""The cast: the same people and keys in every test."""

from __future__ import annotations
