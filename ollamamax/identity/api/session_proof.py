"""Proofs of who it is, for a session: the second factor of a log-in, a passkey alone, and confirming it for a dangerous act."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.actions.pending_factor import pending_user
from ollamamax.identity.actions.proof import ShownProof, ask_for_passkey
from ollamamax.identity.actions.session import confirm_session, finish_log_in, log_in_by_passkey
from ollamamax.identity.api.base import PUBLIC, SIGNED_IN, View
from ollamamax.identity.api.proof_serializers import (
    ConfirmationSerializer,
    PasskeyAnswerSerializer,
    PasskeyOptionsSerializer,
    ProofSerializer,
)
from ollamamax.identity.api.recent import confirming
from ollamamax.identity.api.request_id import id_of
from ollamamax.identity.api.serializers import SessionSerializer
from ollamamax.identity.api.session import session_answer
from ollamamax.identity.models import User
from ollamamax.kernel.errors import Forbidden, Unauthenticated


class SessionFactorView(View):
    permissions = {"POST": PUBLIC}
    authentication_classes = [SessionAuthentication]
    serializer_class = SessionSerializer

    @extend_schema(operation_id="session_factor", request=ProofSerializer, responses=SessionSerializer)
    def post(self, request: Request) -> Response:
        """Show the second factor, after the password was right: who does is logged in."""
        SessionAuthentication().enforce_csrf(request)
        user = finish_log_in(request=request._request, shown=_shown(request), request_id=id_of(request))
        return session_answer(request, user)


class SessionFactorOptionsView(View):
    permissions = {"POST": PUBLIC}
    authentication_classes = [SessionAuthentication]
    serializer_class = PasskeyOptionsSerializer

    @extend_schema(operation_id="session_factor_options", request=None, responses=PasskeyOptionsSerializer)
    def post(self, request: Request) -> Response:
        """What one of the user's passkeys has to sign, after the password was right."""
        SessionAuthentication().enforce_csrf(request)
        user = pending_user(request._request)
        if user is None:
            raise Unauthenticated("Give your password again: it was too long ago.")
        return _options(ask_for_passkey(request=request._request, user=user, purpose="factor"))


class SessionPasskeyView(View):
    permissions = {"POST": PUBLIC}
    authentication_classes = [SessionAuthentication]
    serializer_class = SessionSerializer

    @extend_schema(operation_id="session_passkey", request=PasskeyAnswerSerializer, responses=SessionSerializer)
    def post(self, request: Request) -> Response:
        """Log in by a passkey alone."""
        SessionAuthentication().enforce_csrf(request)
        given = PasskeyAnswerSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        user = log_in_by_passkey(request=request._request, request_id=id_of(request), **given.validated_data)
        return session_answer(request, user)


class SessionPasskeyOptionsView(View):
    permissions = {"POST": PUBLIC}
    authentication_classes = [SessionAuthentication]
    serializer_class = PasskeyOptionsSerializer

    @extend_schema(operation_id="session_passkey_options", request=None, responses=PasskeyOptionsSerializer)
    def post(self, request: Request) -> Response:
        """What a passkey, whosever, has to sign."""
        SessionAuthentication().enforce_csrf(request)
        return _options(ask_for_passkey(request=request._request, user=None, purpose="log_in"))


class ConfirmView(View):
    permissions = {"GET": SIGNED_IN, "POST": SIGNED_IN}
    serializer_class = ConfirmationSerializer
    pagination_class = None

    @extend_schema(operation_id="session_confirmation", responses=ConfirmationSerializer)
    def get(self, request: Request) -> Response:
        """How one can confirm that it is oneself."""
        found = confirming(request, _person(request), own=False)
        return Response(ConfirmationSerializer(found).data, headers={"Cache-Control": "no-store"})

    @extend_schema(operation_id="session_confirm", request=ProofSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        """Confirm that it is oneself: dangerous acts are open for a quarter of an hour."""
        user = _person(request)
        confirm_session(acting=self.acting, request=request._request, user=user, shown=_shown(request))
        return Response(status=204)


class ConfirmOptionsView(View):
    permissions = {"POST": SIGNED_IN}
    serializer_class = PasskeyOptionsSerializer

    @extend_schema(operation_id="session_confirm_options", request=None, responses=PasskeyOptionsSerializer)
    def post(self, request: Request) -> Response:
        """What one of one's passkeys has to sign."""
        return _options(ask_for_passkey(request=request._request, user=_person(request), purpose="confirm"))


def _shown(request: Request) -> ShownProof:
    given = ProofSerializer(data=request.data)
    given.is_valid(raise_exception=True)
    return ShownProof(**given.validated_data)


def _options(options: dict[str, object]) -> Response:
    return Response({"options": options}, headers={"Cache-Control": "no-store"})


def _person(request: Request) -> User:
    if not isinstance(request.user, User):
        raise Forbidden("A key has no account: this is for who logged in.")
    return request.user
