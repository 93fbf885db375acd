"""Nodes: who they are, what they can do now, and what is sent to them."""

from __future__ import annotations

import importlib

from django.apps import AppConfig


class ClusterConfig(AppConfig):
    name = "cluster"

    def ready(self) -> None:
        importlib.import_module("cluster.membership")
        from django.db.models import Q

        from cluster.actions.tenant_removal import forget_in_redis, remove_nodes, withdraw_access
        from cluster.dispatch.balance_budgets import balance_budgets
        from cluster.models import Incident, JoinToken, Node, Pool
        from cluster.queries.incident import ended_incidents
        from cluster.queries.pool import contents
        from ollamamax.identity import objects
        from ollamamax.identity.departure import AFTER_ROWS, BEFORE_ROWS, exported
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
        BEFORE_ROWS.extend((withdraw_access, remove_nodes))
        AFTER_ROWS.append(forget_in_redis)
        exported(
            "nodes",
            lambda: Node.objects.all(),
            *("id", "name", "engine", "agent_version", "lifecycle", "schedulable", "region", "labels", "taints"),
            *("hourly_cost", "access"),
        )
        exported("pools", lambda: Pool.objects.all(), "id", "name", "selector", "created_at")
        exported(
            "incidents",
            lambda: Incident.objects.all(),
            *("id", "kind", "about", "subject_id", "subject_name", "severity", "text", "evidence", "timeline"),
            *("opened_at", "closed_at", "requests_hit"),
        )
        balances(balance_budgets)
        objects.register("node", lambda: Node.objects.all())
        objects.register("pool", lambda: Pool.objects.all(), contents=contents)
