"""The nodes of the tenant in scope, as the registry needs them."""

from __future__ import annotations

from cluster.models import Node


def nodes_of_tenant() -> list[Node]:
    """Queries: 1."""
    return list(Node.objects.all())
