"""Nodes that join as in the tests of the cluster."""

from __future__ import annotations

from tests.cluster.conftest import join
from tests.worker.conftest import redis_url

__all__ = ["join", "redis_url"]
