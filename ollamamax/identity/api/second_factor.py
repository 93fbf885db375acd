"""One's own second factors: authenticator programs, passkeys and recovery codes; and what a tenant asks of its members."""

from __future__ import annotations

import uuid

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity import one_time_codes
from ollamamax.identity.actions.proof import has_site
from ollamamax.identity.actions.second_factor import (
    add_passkey,
    begin_passkey,
    begin_totp,
    confirm_totp,
    find_factor,
    make_recovery_codes,
    remove_factor,
    rename_factor,
)
from ollamamax.identity.actions.sign_in_policy import change_sign_in_policy
from ollamamax.identity.api.base import SIGNED_IN, View
from ollamamax.identity.api.proof_serializers import (
    AuthenticatorConfirmSerializer,
    FactorNameSerializer,
    FactorsSerializer,
    NewAuthenticatorSerializer,
    PasskeyCreateSerializer,
    PasskeyOptionsSerializer,
    RecoveryCodesSerializer,
    SignInPolicyChangeSerializer,
    SignInPolicySerializer,
)
from ollamamax.identity.models import User
from ollamamax.identity.queries.second_factor import passkeys_of, totp_devices, unused_codes
from ollamamax.identity.queries.tenant import get_tenant
from ollamamax.identity.rights import tenant_of
from ollamamax.kernel.errors import Forbidden

_NO_STORE = {"Cache-Control": "no-store"}


def _person(request: Request) -> User:
    if not isinstance(request.user, User):
        raise Forbidden("A key has no account: this is for who logged in.")
    return request.user


class FactorsView(View):
    permissions = {"GET": SIGNED_IN}
    serializer_class = FactorsSerializer
    pagination_class = None

    @extend_schema(operation_id="account_factors", responses=FactorsSerializer)
    def get(self, request: Request) -> Response:
        """One's own second factors."""
        user = _person(request)
        found = {
            "authenticators": totp_devices(user.pk),
            "passkeys": passkeys_of(user.pk),
            "recovery_codes": unused_codes(user.pk).count(),
            "passkeys_work": has_site(request._request),
            "has_password": user.has_usable_password(),
        }
        return Response(FactorsSerializer(found).data, headers=_NO_STORE)


class AuthenticatorListView(View):
    permissions = {"POST": SIGNED_IN}
    serializer_class = NewAuthenticatorSerializer

    @extend_schema(
        operation_id="account_authenticator_begin", request=None, responses={201: NewAuthenticatorSerializer}
    )
    def post(self, request: Request) -> Response:
        """A secret for an authenticator program. It counts once its first code was confirmed."""
        user = _person(request)
        device, secret = begin_totp(user=user)
        address = one_time_codes.address_of(secret, account=user.email, issuer=f"OllamaMax {settings.PUBLIC_URL}")
        shown = {"id": device.id, "secret": secret, "address": address}
        return Response(NewAuthenticatorSerializer(shown).data, status=201, headers=_NO_STORE)


class AuthenticatorConfirmView(View):
    permissions = {"POST": SIGNED_IN}
    serializer_class = RecoveryCodesSerializer

    @extend_schema(
        operation_id="account_authenticator_confirm",
        request=AuthenticatorConfirmSerializer,
        responses=RecoveryCodesSerializer,
    )
    def post(self, request: Request, factor_id: uuid.UUID) -> Response:
        """Its first code: the authenticator counts from now on. With one's first factor come the recovery codes."""
        given = AuthenticatorConfirmSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        codes = confirm_totp(
            acting=self.acting,
            request=request._request,
            user=_person(request),
            device_id=factor_id,
            **given.validated_data,
        )
        return Response({"codes": codes}, headers=_NO_STORE)


def _renamed(view: View, request: Request, kind: str, factor_id: uuid.UUID) -> Response:
    given = FactorNameSerializer(data=request.data)
    given.is_valid(raise_exception=True)
    factor = find_factor(_person(request).pk, kind, factor_id)
    rename_factor(acting=view.acting, factor=factor, **given.validated_data)
    return Response(status=204)


class AuthenticatorView(View):
    permissions = {"PATCH": SIGNED_IN, "DELETE": SIGNED_IN}

    @extend_schema(operation_id="account_authenticator_rename", request=FactorNameSerializer, responses={204: None})
    def patch(self, request: Request, factor_id: uuid.UUID) -> Response:
        """Give it another name."""
        return _renamed(self, request, "totp", factor_id)

    @extend_schema(operation_id="account_authenticator_remove", responses={204: None})
    def delete(self, request: Request, factor_id: uuid.UUID) -> Response:
        """It counts no more. With the last one go the recovery codes."""
        remove_factor(acting=self.acting, factor=find_factor(_person(request).pk, "totp", factor_id))
        return Response(status=204)


class PasskeyView(View):
    permissions = {"PATCH": SIGNED_IN, "DELETE": SIGNED_IN}

    @extend_schema(operation_id="account_passkey_rename", request=FactorNameSerializer, responses={204: None})
    def patch(self, request: Request, factor_id: uuid.UUID) -> Response:
        """Give it another name."""
        return _renamed(self, request, "passkey", factor_id)

    @extend_schema(operation_id="account_passkey_remove", responses={204: None})
    def delete(self, request: Request, factor_id: uuid.UUID) -> Response:
        """It counts no more. With the last one go the recovery codes."""
        remove_factor(acting=self.acting, factor=find_factor(_person(request).pk, "passkey", factor_id))
        return Response(status=204)


class PasskeyOptionsView(View):
    permissions = {"POST": SIGNED_IN}
    serializer_class = PasskeyOptionsSerializer

    @extend_schema(operation_id="account_passkey_options", request=None, responses=PasskeyOptionsSerializer)
    def post(self, request: Request) -> Response:
        """What the browser is asked to make a passkey of."""
        options = begin_passkey(request=request._request, user=_person(request))
        return Response({"options": options}, headers=_NO_STORE)


class PasskeyListView(View):
    permissions = {"POST": SIGNED_IN}
    serializer_class = RecoveryCodesSerializer

    @extend_schema(
        operation_id="account_passkey_create", request=PasskeyCreateSerializer, responses={201: RecoveryCodesSerializer}
    )
    def post(self, request: Request) -> Response:
        """Register a passkey. With one's first factor come the recovery codes."""
        given = PasskeyCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        user = _person(request)
        _, codes = add_passkey(acting=self.acting, request=request._request, user=user, **given.validated_data)
        return Response({"codes": codes}, status=201, headers=_NO_STORE)


class RecoveryCodesView(View):
    permissions = {"POST": SIGNED_IN}
    serializer_class = RecoveryCodesSerializer

    @extend_schema(operation_id="account_recovery_codes", request=None, responses={201: RecoveryCodesSerializer})
    def post(self, request: Request) -> Response:
        """Ten new recovery codes; those before work no more."""
        codes = make_recovery_codes(acting=self.acting, user=_person(request))
        return Response({"codes": codes}, status=201, headers=_NO_STORE)


class SignInPolicyView(View):
    permissions = {"GET": SIGNED_IN, "PATCH": "sso.manage"}
    serializer_class = SignInPolicySerializer
    pagination_class = None
    etagged = True

    @extend_schema(operation_id="tenant_sign_in", responses=SignInPolicySerializer)
    def get(self, request: Request) -> Response:
        """What the tenant asks of its members when they log in."""
        return Response(SignInPolicySerializer(get_tenant(tenant_of(self.acting))).data)

    @extend_schema(
        operation_id="tenant_sign_in_update", request=SignInPolicyChangeSerializer, responses=SignInPolicySerializer
    )
    def patch(self, request: Request) -> Response:
        """Ask for a second factor, from some days on; take passkeys alone, or not."""
        given = SignInPolicyChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(SignInPolicySerializer(change_sign_in_policy(acting=self.acting, **given.validated_data)).data)
