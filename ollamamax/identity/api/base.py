"""The base of every view of the management API: who calls, what they may do, and in which tenant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, cast

import msgspec
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.generics import GenericAPIView
from rest_framework.pagination import BasePagination, CursorPagination
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from ollamamax.identity.actions.key_use import note_key_use
from ollamamax.identity.actions.refusal import tell_refusal
from ollamamax.identity.api import rules
from ollamamax.identity.api.recent import require_recent
from ollamamax.identity.api.request_id import id_of
from ollamamax.identity.models import User
from ollamamax.identity.queries.key import find_principal
from ollamamax.identity.queries.member import principal_of, tenants_of
from ollamamax.identity.roles import PERMISSIONS
from ollamamax.identity.scope import tenant_scope
from ollamamax.identity.sessions import current_place
from ollamamax.kernel.errors import ConfirmationNeeded, Forbidden, NotFound, Unauthenticated
from ollamamax.kernel.principal import Principal
from ollamamax.kernel.reach import require_reach

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
        try:
            require_reach(principal.reach, request.path, request.META.get("REMOTE_ADDR"))
        except Forbidden as refused:
            _tell(request, _with_origin(principal, request), refused)
            raise
        note_key_use(principal.id)
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
        require_recent(request, request.method or "", view.route)
        return True


LONGEST_CURSOR = 500


class Pages(CursorPagination):
    """Newest first, by the primary key, which is ordered by time; a view may set ``ordering`` to something unique, and callers
    choose among its ``orderings``."""

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200
    ordering = "-id"

    def decode_cursor(self, request: Request) -> Any:
        if len(request.query_params.get(self.cursor_query_param, "")) > LONGEST_CURSOR:
            raise NotFound("There is no such page.")
        return super().decode_cursor(request)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """How long a cursor is, and how many rows a page has at most; more counts as that."""
        found: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        bounds = {
            self.cursor_query_param: {"maxLength": LONGEST_CURSOR},
            self.page_size_query_param: {"minimum": 1, "maximum": self.max_page_size},
        }
        return [each | {"schema": each["schema"] | bounds[each["name"]]} for each in found]

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        asked = request.query_params.get("ordering")
        if asked is not None:
            name = asked.removeprefix("-")
            if name not in view.orderings:
                raise exceptions.ValidationError({"ordering": [f"One of {', '.join(view.orderings) or 'none'}."]})
            # The primary key makes it unique, and goes the same way.
            field = view.orderings[name]
            return (f"-{field}", "-pk") if asked.startswith("-") else (field, "pk")
        chosen = getattr(view, "ordering", self.ordering)
        return (chosen,) if isinstance(chosen, str) else tuple(chosen)


class View(GenericAPIView[Any]):
    """Each view declares the permission of each method: ``permissions = {"GET": "node.view"}``.

    The method runs inside the scope of the caller's tenant. No other method is answered. What else it declares says which of
    the API's rules count for it (`ollamamax.identity.api.rules`).
    """

    authentication_classes = [KeyAuthentication, SessionAuthentication]
    permission_classes = [Declared]
    pagination_class: type[BasePagination] | None = Pages
    permissions: ClassVar[Mapping[str, str]]
    of_objects: ClassVar[bool] = False
    """Whether the permissions may be had on single objects too: then its queries and actions ask of which ones."""
    filters: ClassVar[type[Serializer[Any]] | None] = None
    """A list's query parameters, each with the lookup it stands for as its ``source``. No others are taken."""
    orderings: ClassVar[Mapping[str, str]] = {}
    """What a list can be ordered by, to the field: never one that may be null."""
    creates: ClassVar[bool] = False
    """Whether POST creates something: then it takes an ``Idempotency-Key``."""
    etagged: ClassVar[bool] = False
    """Whether it is one thing that is read and changed: with an ``ETag`` when read, and ``If-Match`` when changed."""
    volatile: ClassVar[frozenset[str]] = frozenset()
    """Fields of one thing that change by themselves: they are no part of its ``ETag``."""
    principal: Principal | None = None

    @property
    def route(self) -> str:
        """As in `ollamamax.urls`."""
        match = self.request.resolver_match
        return match.route if match else ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        declared = getattr(cls, "permissions", None)
        if not declared:
            raise TypeError(f"{cls.__name__} declares no permissions")
        unknown = set(declared.values()) - PERMISSIONS - {PUBLIC, SIGNED_IN}
        if unknown:
            raise TypeError(f"{cls.__name__} declares permissions that do not exist: {', '.join(sorted(unknown))}")
        for name in ("post",) if cls.creates else ():
            setattr(cls, name, rules.idempotent(cls.__dict__[name]))
        for name in {"put", "patch", "delete"} & cls.__dict__.keys() if cls.etagged else ():
            setattr(cls, name, rules.conditional(cls.__dict__[name]))
        cls.http_method_names = [method.lower() for method in declared] + (["head"] if "GET" in declared else [])

    @property
    def acting(self) -> Principal:
        """Who calls. Raises `Unauthenticated` when nobody is known."""
        if self.principal is None:
            raise Unauthenticated("Log in, or send an API key as 'Authorization: Bearer omx_...'.")
        return self.principal

    @property
    def lists(self) -> bool:
        return self.filters is not None or bool(self.orderings)

    def asked(self) -> dict[str, Any]:
        """What the query parameters filter by. Raises DRF's `ValidationError`, for one that nobody knows too."""
        given = self.request.query_params
        form = self.filters(data=given) if self.filters is not None else None
        known = {"limit", "cursor", "ordering", "format"} | (form.fields.keys() if form is not None else set())
        unknown = sorted(given.keys() - known)
        if unknown:
            raise exceptions.ValidationError({name: ["There is no such parameter."] for name in unknown})
        if form is None:
            return {}
        form.is_valid(raise_exception=True)
        return dict(form.validated_data)

    def listing(
        self,
        rows: QuerySet[Any],
        serializer: type[Serializer[Any]],
        shown: Callable[[Sequence[Any]], Any] | None = None,
    ) -> Response:
        """One page of the rows that the caller asked for; ``shown`` makes what a serializer needs besides them."""
        page = self.paginate_queryset(rows.filter(**self.asked())) or []
        context = {} if shown is None else shown(page)
        return self.get_paginated_response(serializer(page, many=True, context=context).data)

    def handle_exception(self, exc: Exception) -> Response:
        """What is forbidden is on record before it is answered; where it cannot be, that is what is answered."""
        if isinstance(exc, Forbidden) and not isinstance(exc, ConfirmationNeeded) and self.principal is not None:
            try:
                _tell(self.request, self.principal, exc)
            except DatabaseError as error:
                exc = error
        return super().handle_exception(exc)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if self.etagged and response.status_code == 200 and isinstance(response.data, dict):
            response["ETag"] = rules.etag(response.data, self.volatile)
        deprecated = rules.DEPRECATED.get((request.method or "", self.route))
        if deprecated is not None:
            rules.tell_deprecation(response, deprecated)
        return response

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


def _tell(request: Request, principal: Principal, refused: Forbidden) -> None:
    match = request.resolver_match
    permission = refused.fields.get("permission")
    tell_refusal(
        principal,
        method=request.method or "",
        route=match.route if match else "",
        permission=permission if isinstance(permission, str) else "",
    )


def _with_origin(principal: Principal, request: Request) -> Principal:
    address = str(request.META.get("REMOTE_ADDR") or "")
    return msgspec.structs.replace(principal, request=id_of(request), address=address)


def principal_behind(request: Request) -> Principal | None:
    """The key, or the logged-in user in their current tenant, and from where they call. One query for a user."""
    address = str(request.META.get("REMOTE_ADDR") or "")
    if isinstance(request.auth, Principal):
        return _with_origin(request.auth, request)
    if not isinstance(request.user, User):
        return None
    place = current_place(request.session, tenants_of(request.user))
    if place is None:
        return Principal("user", request.user.id.hex, None, request.user.email, request=id_of(request), address=address)
    return msgspec.structs.replace(principal_of(request.user, place, id_of(request)), address=address)
