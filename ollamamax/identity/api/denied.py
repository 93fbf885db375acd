"""The default permission. A module of its own, because DRF loads it while `rest_framework.views` is being imported."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class Denied(BasePermission):
    """A view that is not built on `ollamamax.identity.api.base.View` lets nobody in."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return False
