"""The browser's session: who is logged in, logging in, logging out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.middleware.csrf import get_token
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.actions.pending_factor import pending_user
from ollamamax.identity.actions.session import enter_tenant, log_in, log_out
from ollamamax.identity.api.base import PUBLIC, SIGNED_IN, View
from ollamamax.identity.api.request_id import id_of
from ollamamax.identity.api.serializers import EnterTenantSerializer, LogInSerializer, SessionSerializer
from ollamamax.identity.models import User
from ollamamax.identity.queries.member import TenantRole, leaving_tenants_of, tenants_of
from ollamamax.identity.queries.second_factor import has_factor, ways_of
from ollamamax.identity.sessions import current_place, log_in_of
from ollamamax.kernel.errors import Forbidden
from ollamamax.mail.actions import is_set_up


class SessionView(View):
    permissions = {"GET": PUBLIC, "POST": PUBLIC, "DELETE": PUBLIC}
    # A key has no session, and a wrong one must not keep anybody from logging in.
    authentication_classes = [SessionAuthentication]
    serializer_class = SessionSerializer

    @extend_schema(responses=SessionSerializer)
    def get(self, request: Request) -> Response:
        """Who is logged in. Sets the CSRF cookie that other methods need, as `X-CSRFToken`."""
        get_token(request)
        return session_answer(request, request.user)

    @extend_schema(request=LogInSerializer, responses=SessionSerializer)
    def post(self, request: Request) -> Response:
        """Log in. Who has a second factor is not logged in yet: `factor` says what is to come, and `session/factor` takes it."""
        # DRF asks for the token only of those who are logged in; without it here, another site could log a victim
        # in as somebody else.
        SessionAuthentication().enforce_csrf(request)
        given = LogInSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        user = log_in(request=request._request, request_id=id_of(request), **given.validated_data)
        return session_answer(request, user or AnonymousUser())

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        """Log out."""
        log_out(request=request._request, acting=self.principal)
        return Response(status=204)


class SessionTenantView(View):
    """In which tenant the session acts. A key has no session."""

    permissions = {"PUT": SIGNED_IN}
    serializer_class = SessionSerializer

    @extend_schema(operation_id="session_tenant", request=EnterTenantSerializer, responses=SessionSerializer)
    def put(self, request: Request) -> Response:
        """Act in another tenant that the user is a member of."""
        given = EnterTenantSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        if not isinstance(request.user, User):
            raise Forbidden("A key acts in its own tenant.")
        enter_tenant(
            request=request._request,
            user=request.user,
            tenant_id=given.validated_data["tenant"],
            request_id=id_of(request),
        )
        return session_answer(request, request.user)


def session_answer(request: Request, user: Any) -> Response:
    known = user if isinstance(user, User) else None
    places = tenants_of(known) if known else []
    place = current_place(request.session, places)
    return Response(
        SessionSerializer(
            {
                "authenticated": known is not None,
                "user": known,
                "log_in": log_in_of(request.session) if known else None,
                "factor": None if known else _waits(request),
                "factor_wanted": _wanted(known, places) if known else None,
                "tenant": place,
                "tenants": places,
                "leaving": leaving_tenants_of(known) if known else [],
                "mail": is_set_up(),
                "permissions": sorted(place.permissions) if place else [],
            }
        ).data,
        headers={"Cache-Control": "no-store"},
    )


def _waits(request: Request) -> dict[str, list[str]] | None:
    """For the second factor of whose password was right."""
    user = pending_user(request._request)
    return None if user is None else {"ways": ways_of(user.pk, request.get_host().partition(":")[0].lower())}


def _wanted(user: User, places: Sequence[TenantRole]) -> dict[str, Any] | None:
    """The tenant that asks first for a factor of who has none. Queries: none where none asks."""
    asking = [place for place in places if place.factor_required_at is not None]
    first = min(asking, key=lambda place: place.factor_required_at or timezone.now(), default=None)
    if first is None or has_factor(user.pk):
        return None
    return {"tenant": first.name, "at": first.factor_required_at}
