"""Nodes: who they are, what they can do now, and what is sent to them."""

from __future__ import annotations

from django.apps import AppConfig


class ClusterConfig(AppConfig):
    name = "cluster"

    def ready(self) -> None:
        from cluster.queries.node import has_node
        from ollamamax.identity import objects

        objects.register("node", has_node)
