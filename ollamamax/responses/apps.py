"""Responses that are kept, and conversations: what ``/v1/responses`` remembers where a tenant wants it."""

from __future__ import annotations

from django.apps import AppConfig


class ResponsesConfig(AppConfig):
    name = "ollamamax.responses"
