"""Nodes that join as in the tests of the cluster."""

from __future__ import annotations

from tests.cluster.conftest import join

__all__ = ["join"]
