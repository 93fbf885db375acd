"""Nodes: who they are, what they can do now, and what is sent to them."""

from __future__ import annotations

from django.apps import AppConfig


class ClusterConfig(AppConfig):
    name = "cluster"
