"""DRF's default permission here. In a module of its own: DRF reads its defaults while its generic views are imported."""

from __future__ import annotations

from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class Denied(BasePermission):
    """The default: a view that is not built on `View` lets nobody in."""

    def has_permission(self, request: Request, view: object) -> bool:
        return False
