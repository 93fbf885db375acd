"""The audit trail: who did what to what, in chains that nobody can alter unseen. Refers to no other context."""

from __future__ import annotations

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "ollamamax.audit"
    label = "audit"
