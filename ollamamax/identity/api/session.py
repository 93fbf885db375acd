"""The browser's session: who is logged in, logging in, logging out."""

from __future__ import annotations

from typing import Any

from django.middleware.csrf import get_token
from drf_spectacular.utils import extend_schema
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.actions.session import enter_tenant, log_in, log_out
from ollamamax.identity.api.base import PUBLIC, SIGNED_IN, View
from ollamamax.identity.api.request_id import id_of
from ollamamax.identity.api.serializers import EnterTenantSerializer, LogInSerializer, SessionSerializer
from ollamamax.identity.models import User
from ollamamax.identity.queries.member import tenants_of
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
        """Log in."""
        # DRF asks for the token only of those who are logged in; without it here, another site could log a victim
        # in as somebody else.
        SessionAuthentication().enforce_csrf(request)
        given = LogInSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        user = log_in(request=request._request, request_id=id_of(request), **given.validated_data)
        return session_answer(request, user)

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
                "tenant": place,
                "tenants": places,
                "mail": is_set_up(),
                "permissions": sorted(place.permissions) if place else [],
            }
        ).data,
        headers={"Cache-Control": "no-store"},
    )
