"""The base of every view of the management API: who calls, what they may do, and in which tenant."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, ClassVar, cast

import msgspec
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.generics import GenericAPIView
from rest_framework.pagination import BasePagination, CursorPagination
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from ollamamax.identity.api.request_id import id_of
from ollamamax.identity.models import User
from ollamamax.identity.queries.key import find_principal
from ollamamax.identity.queries.member import principal_of, tenants_of
from ollamamax.identity.roles import PERMISSIONS
from ollamamax.identity.scope import tenant_scope
from ollamamax.identity.sessions import current_place
from ollamamax.kernel.errors import Forbidden, Unauthenticated
from ollamamax.kernel.principal import Principal

PUBLIC = "public"
"""Anybody may; a view that says so is on the list in `tests/architecture/test_routes.py`."""
SIGNED_IN = "signed in"
"""Whoever is known may, whatever their role."""


class KeyAuthentication(BaseAuthentication):
    """``Authorization: Bearer omx_...``, looked up in Postgres; ``request.auth`` is then the `Principal`."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Principal] | None:
        header = request.headers.get("Authorization")
        if header is None:
            return None
        scheme, _, text = header.partition(" ")
        principal = find_principal(text.strip()) if scheme.lower() == "bearer" else None
        if principal is None:
            raise Unauthenticated("The API key is wrong, expired or revoked.")
        return AnonymousUser(), principal

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class Declared(BasePermission):
    """Lets in whoever has the permission that the view declares for the method."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        view = cast(View, view)
        needed = view.permission_for(request.method or "")
        if needed == PUBLIC:
            return True
        if view.principal is None:
            raise Unauthenticated("Log in, or send an API key as 'Authorization: Bearer omx_...'.")
        may = view.principal.may_somewhere if view.of_objects else view.principal.may
        if needed != SIGNED_IN and not may(needed):
            raise Forbidden(f"This needs the permission '{needed}'.", permission=needed)
        return True


class Pages(CursorPagination):
    """Newest first, by the primary key, which is ordered by time; a view may set ``ordering`` to something unique."""

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200
    ordering = "-id"

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        chosen = getattr(view, "ordering", self.ordering)
        return (chosen,) if isinstance(chosen, str) else tuple(chosen)


class View(GenericAPIView[Any]):
    """Each view declares the permission of each method: ``permissions = {"GET": "node.view"}``.

    The method runs inside the scope of the caller's tenant. No other method is answered.
    """

    authentication_classes = [KeyAuthentication, SessionAuthentication]
    permission_classes = [Declared]
    pagination_class: type[BasePagination] | None = Pages
    permissions: ClassVar[Mapping[str, str]]
    of_objects: ClassVar[bool] = False
    """Whether the permissions may be had on single objects too: then its queries and actions ask of which ones."""
    principal: Principal | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        declared = getattr(cls, "permissions", None)
        if not declared:
            raise TypeError(f"{cls.__name__} declares no permissions")
        unknown = set(declared.values()) - PERMISSIONS - {PUBLIC, SIGNED_IN}
        if unknown:
            raise TypeError(f"{cls.__name__} declares permissions that do not exist: {', '.join(sorted(unknown))}")
        cls.http_method_names = [method.lower() for method in declared] + (["head"] if "GET" in declared else [])

    @property
    def acting(self) -> Principal:
        """Who calls. Raises `Unauthenticated` when nobody is known."""
        if self.principal is None:
            raise Unauthenticated("Log in, or send an API key as 'Authorization: Bearer omx_...'.")
        return self.principal

    def permission_for(self, method: str) -> str:
        """Raises DRF's `MethodNotAllowed` for a method that is not declared."""
        needed = self.permissions.get("GET" if method == "HEAD" else method)
        if needed is None:
            raise exceptions.MethodNotAllowed(method)
        return needed

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with ExitStack() as self._scopes:
            return super().dispatch(request, *args, **kwargs)

    def perform_authentication(self, request: Request) -> None:
        super().perform_authentication(request)
        self.principal = principal_behind(request)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.principal is not None and self.principal.tenant is not None:
            self._scopes.enter_context(tenant_scope(self.principal.tenant))


def principal_behind(request: Request) -> Principal | None:
    """The key, or the logged-in user in their current tenant. One query for a user."""
    if isinstance(request.auth, Principal):
        return msgspec.structs.replace(request.auth, request=id_of(request))
    if not isinstance(request.user, User):
        return None
    place = current_place(request.session, tenants_of(request.user))
    if place is None:
        return Principal("user", request.user.id.hex, None, request.user.email, request=id_of(request))
    return principal_of(request.user, place, id_of(request))
