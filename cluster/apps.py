"""Nodes: who they are, what they can do now, and what is sent to them."""

from __future__ import annotations

import importlib

from django.apps import AppConfig


class ClusterConfig(AppConfig):
    name = "cluster"

    def ready(self) -> None:
        importlib.import_module("cluster.membership")
        from django.db.models import Q

        from cluster.models import JoinToken
        from cluster.queries.node import find_node
        from cluster.queries.pool import contents, find_pool
        from ollamamax.identity import objects
        from ollamamax.identity.retention import ENDED, ENDINGS, ExpiringRows

        # One that was used up expires, too.
        ENDINGS.append(
            ExpiringRows(
                "join_token",
                ENDED,
                lambda before: JoinToken.objects.filter(Q(revoked_at__lt=before) | Q(expires_at__lt=before)),
            )
        )

        objects.register("node", find_node)
        objects.register("pool", find_pool, contents=contents)
