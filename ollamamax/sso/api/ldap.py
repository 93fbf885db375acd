"""Logging in at a directory: its people give their name and password to the console, which asks the directory whether they are right.

A page of the console takes the place that other providers' own pages have: the browser is led there with the name of what its session asked for.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.api.base import PUBLIC, View
from ollamamax.identity.api.request_id import id_of
from ollamamax.kernel.errors import Unauthenticated
from ollamamax.kernel.ids import new_id
from ollamamax.sso.actions.ldap import vouched_by_password
from ollamamax.sso.api.returning import Return, enabled_provider, keep_asked
from ollamamax.sso.api.serializers import LeadSerializer
from ollamamax.sso.ldap.directory import MOST_LOGIN, MOST_PASSWORD
from ollamamax.sso.models import IdentityProvider
from ollamamax.sso.refusals import SsoRefused, Why

REQUESTS = "ldap_requests"


def begin_ldap(request: HttpRequest, provider: IdentityProvider, asked: dict[str, Any], hint: str) -> str:
    """The console's page that asks for name and password; what it brings is to ``asked``."""
    name = new_id()
    keep_asked(request, REQUESTS, name, asked)
    named = {"login": hint} if hint else {}
    return f"/log-in-directory?{urlencode({'provider': str(provider.pk), 'asked': name} | named)}"


class DirectoryLogInSerializer(serializers.Serializer[Any]):
    """`asked` is what the address of the console's page holds."""

    provider = serializers.UUIDField()
    asked = serializers.RegexField(r"^[0-9a-f]{32}$", max_length=32)
    login = serializers.CharField(max_length=MOST_LOGIN)
    password = serializers.CharField(max_length=MOST_PASSWORD, trim_whitespace=False, write_only=True)


class DirectoryLogInView(View):
    permissions = {"POST": PUBLIC}
    authentication_classes = [SessionAuthentication]
    serializer_class = LeadSerializer

    @extend_schema(operation_id="sso_directory_log_in", request=DirectoryLogInSerializer, responses=LeadSerializer)
    def post(self, request: Request) -> Response:
        """Give name and password of a directory: who is who they say is logged in, unless a second factor is to come."""
        SessionAuthentication().enforce_csrf(request)
        given = DirectoryLogInSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        coming = Return(request._request, values["provider"])
        return Response({"url": coming.answered(lambda at: _come_back(at, **values))["Location"]})


def _come_back(coming: Return, *, asked: str, login: str, password: str, **_: Any) -> HttpResponse:
    """Raises `SsoRefused`, and `Unauthenticated` or `Overloaded` for what may be tried again on the same page."""
    request = coming.request
    coming.look(request.session.get(REQUESTS, {}), asked)
    coming.provider = provider = enabled_provider(coming.provider_id, IdentityProvider.Kind.LDAP)
    try:
        vouched = vouched_by_password(
            provider,
            login=login,
            password=password,
            address=request.META.get("REMOTE_ADDR", ""),
            request_id=id_of(request),
        )
    except SsoRefused as refused:
        if refused.why == Why.WRONG_PASSWORD:
            raise Unauthenticated("The name or the password is wrong.") from refused
        raise
    coming.take(request.session.get(REQUESTS, {}), asked, REQUESTS)
    return coming.arrive(provider, vouched)
