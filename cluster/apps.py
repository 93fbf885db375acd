"""Nodes: who they are, what they can do now, and what is sent to them."""

from __future__ import annotations

import importlib

from django.apps import AppConfig


class ClusterConfig(AppConfig):
    name = "cluster"

    def ready(self) -> None:
        importlib.import_module("cluster.membership")
        from django.db.models import Q

        from cluster.dispatch.balance_budgets import balance_budgets
        from cluster.models import JoinToken, Node, Pool
        from cluster.queries.incident import ended_incidents
        from cluster.queries.pool import contents
        from ollamamax.identity import objects
        from ollamamax.identity.retention import ENDED, ENDINGS, ExpiringRows
        from ollamamax.metering.actions.spending import balances

        # One that was used up expires, too.
        ENDINGS.append(
            ExpiringRows(
                "join_token",
                ENDED,
                lambda before: JoinToken.objects.filter(Q(revoked_at__lt=before) | Q(expires_at__lt=before)),
            )
        )

        ENDINGS.append(ExpiringRows("", "OLLAMAMAX_INCIDENT_DAYS", ended_incidents))
        balances(balance_budgets)
        objects.register("node", lambda: Node.objects.all())
        objects.register("pool", lambda: Pool.objects.all(), contents=contents)
