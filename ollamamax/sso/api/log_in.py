"""The ways in and out: providers for who is not logged in yet, identities that wait to be linked, one's own ones, log-out."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.api.base import PUBLIC, SIGNED_IN, View
from ollamamax.identity.api.request_id import id_of
from ollamamax.identity.models import User
from ollamamax.kernel.errors import Forbidden, NotFound, Unavailable
from ollamamax.sso.actions.linking import link_by_password, pending_of, unlink
from ollamamax.sso.actions.log_out import log_out_here_and_there
from ollamamax.sso.api.browser import begin_at
from ollamamax.sso.api.returning import LINK
from ollamamax.sso.api.serializers import (
    DoorsCreateSerializer,
    DoorsSerializer,
    LeadSerializer,
    LinkByPasswordSerializer,
    LinkCreateSerializer,
    OwnIdentitiesSerializer,
    PendingLinkSerializer,
)
from ollamamax.sso.queries.enforcement import identities_of
from ollamamax.sso.queries.provider import doors_of, get_provider
from ollamamax.sso.refusals import SsoRefused


class DoorsView(View):
    permissions = {"POST": PUBLIC}
    authentication_classes = [SessionAuthentication]
    serializer_class = DoorsSerializer

    @extend_schema(operation_id="sso_doors", request=DoorsCreateSerializer, responses=DoorsSerializer)
    def post(self, request: Request) -> Response:
        """By which identity providers one can log in: of a tenant, or of the one that an e-mail address belongs to."""
        SessionAuthentication().enforce_csrf(request)
        given = DoorsCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        slug, email = (given.validated_data.get(name, "") for name in ("tenant", "email"))
        return Response(DoorsSerializer({"results": doors_of(slug=slug, email=email)}).data)


class PendingLinkView(View):
    permissions = {"GET": PUBLIC, "POST": PUBLIC}
    authentication_classes = [SessionAuthentication]
    serializer_class = PendingLinkSerializer
    pagination_class = None

    @extend_schema(operation_id="sso_pending_link", responses=PendingLinkSerializer)
    def get(self, request: Request) -> Response:
        """Who came by an identity provider in this session, under the address of an account that is not linked to it."""
        found = pending_of(request._request)
        if found is None:
            raise NotFound("Nobody waits here to be linked.")
        return Response(PendingLinkSerializer(found).data, headers={"Cache-Control": "no-store"})

    @extend_schema(operation_id="sso_link", request=LinkByPasswordSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        """Link them by the account's password, and log in."""
        SessionAuthentication().enforce_csrf(request)
        given = LinkByPasswordSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        link_by_password(request=request._request, request_id=id_of(request), **given.validated_data)
        return Response(status=204)


class OwnIdentityListView(View):
    permissions = {"GET": SIGNED_IN, "POST": SIGNED_IN}
    serializer_class = OwnIdentitiesSerializer
    pagination_class = None

    @extend_schema(operation_id="account_identities_list", responses=OwnIdentitiesSerializer)
    def get(self, request: Request) -> Response:
        """One's own identities at providers of the tenant."""
        found: Any = [] if self.acting.tenant is None else identities_of(_own(request).pk)
        return Response(OwnIdentitiesSerializer({"results": found}).data)

    @extend_schema(operation_id="account_identities_link", request=LinkCreateSerializer, responses=LeadSerializer)
    def post(self, request: Request) -> Response:
        """Begin to link an identity at a provider of the tenant to the account that is logged in."""
        _own(request)
        if self.acting.tenant is None:
            raise Forbidden("You act in no tenant.")
        given = LinkCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        provider = get_provider(given.validated_data["provider"])
        try:
            return Response({"url": begin_at(request._request, provider, mode=LINK, then="/account")})
        except SsoRefused as refused:
            raise Unavailable(f"The provider cannot be used: {refused.detail}", why=str(refused.why)) from refused


class OwnIdentityView(View):
    permissions = {"DELETE": SIGNED_IN}

    @extend_schema(operation_id="account_identities_unlink", responses={204: None})
    def delete(self, request: Request, identity_id: uuid.UUID) -> Response:
        """Log in by this identity no more."""
        _own(request)
        if self.acting.tenant is None:
            raise NotFound("There is no such identity of yours.")
        unlink(acting=self.acting, identity_id=identity_id)
        return Response(status=204)


class SsoLogOutView(View):
    permissions = {"POST": PUBLIC}
    authentication_classes = [SessionAuthentication]
    serializer_class = LeadSerializer

    @extend_schema(operation_id="sso_log_out", request=None, responses=LeadSerializer)
    def post(self, request: Request) -> Response:
        """Log out here. The address is where the provider ends its session, and empty where there is none."""
        SessionAuthentication().enforce_csrf(request)
        return Response({"url": log_out_here_and_there(acting=self.principal, request=request._request)})


def _own(request: Request) -> User:
    """Raises `Forbidden` for a key, which has no account."""
    if not isinstance(request.user, User):
        raise Forbidden("A key has no account: this is for who logged in.")
    return request.user
