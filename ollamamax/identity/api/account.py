"""What users do with their own account, by its session: the password, the list of sessions, a token for the playground."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.actions.account import change_own_password, end_other_sessions, end_session
from ollamamax.identity.actions.playground import issue_playground_token
from ollamamax.identity.actions.session import session_of
from ollamamax.identity.api.base import SIGNED_IN, View
from ollamamax.identity.models import User, UserSession
from ollamamax.identity.queries.session import sessions_of
from ollamamax.kernel.errors import Forbidden

MOST_PASSWORD = 1024


class PasswordChangeSerializer(serializers.Serializer[Any]):
    current = serializers.CharField(max_length=MOST_PASSWORD, trim_whitespace=False, style={"input_type": "password"})
    new = serializers.CharField(max_length=MOST_PASSWORD, trim_whitespace=False, style={"input_type": "password"})


class UserSessionSerializer(serializers.ModelSerializer[UserSession]):
    """``seen_at`` is true to some minutes; ``current``: it is the one that asks."""

    current = serializers.SerializerMethodField()

    class Meta:
        model = UserSession
        fields = ["id", "address", "agent", "created_at", "seen_at", "current"]
        read_only_fields = fields

    def get_current(self, session: UserSession) -> bool:
        return bool(session.pk == self.context["current"])


class UserSessionsSerializer(serializers.Serializer[Any]):
    """The newest first; a user has 50 at most."""

    results = UserSessionSerializer(many=True)


class EndedSessionsSerializer(serializers.Serializer[Any]):
    ended = serializers.IntegerField(help_text="How many sessions that were.")


class PlaygroundTokenSerializer(serializers.Serializer[Any]):
    """``token`` goes to the gateway as `Authorization: Bearer`; keep it in the page's memory only."""

    token = serializers.CharField()
    expires_at = serializers.DateTimeField()


def own_session(request: Request) -> tuple[User, UserSession]:
    """Who is logged in, and the session. Raises `Forbidden` for a key, which has none."""
    if not isinstance(request.user, User):
        raise Forbidden("A key has no account: this is for who logged in.")
    return request.user, session_of(request=request._request, user=request.user)


class PasswordView(View):
    permissions = {"PUT": SIGNED_IN}

    @extend_schema(operation_id="account_password", request=PasswordChangeSerializer, responses={204: None})
    def put(self, request: Request) -> Response:
        """Change one's own password. Every other session ends."""
        user, session = own_session(request)
        given = PasswordChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        change_own_password(
            acting=self.acting, request=request._request, user=user, session=session, **given.validated_data
        )
        return Response(status=204)


class UserSessionListView(View):
    permissions = {"GET": SIGNED_IN}
    serializer_class = UserSessionsSerializer
    pagination_class = None

    @extend_schema(operation_id="account_sessions_list", responses=UserSessionsSerializer)
    def get(self, request: Request) -> Response:
        """Where one is logged in."""
        user, session = own_session(request)
        rows = UserSessionSerializer(sessions_of(user.pk), many=True, context={"current": session.pk}).data
        return Response({"results": rows}, headers={"Cache-Control": "no-store"})


class OtherSessionsView(View):
    permissions = {"DELETE": SIGNED_IN}
    serializer_class = EndedSessionsSerializer

    @extend_schema(operation_id="account_sessions_end_others", responses=EndedSessionsSerializer)
    def delete(self, request: Request) -> Response:
        """Log out everywhere else."""
        _, session = own_session(request)
        return Response({"ended": end_other_sessions(acting=self.acting, session=session)})


class UserSessionView(View):
    permissions = {"DELETE": SIGNED_IN}

    @extend_schema(operation_id="account_sessions_end", responses={204: None})
    def delete(self, request: Request, session_id: uuid.UUID) -> Response:
        """Log one of one's own sessions out: its live pages close, and its playground stops, within a second."""
        own_session(request)
        end_session(acting=self.acting, session_id=session_id)
        return Response(status=204)


class PlaygroundTokenView(View):
    permissions = {"POST": "inference.use"}
    of_objects = True
    serializer_class = PlaygroundTokenSerializer

    @extend_schema(operation_id="playground_token", request=None, responses={201: PlaygroundTokenSerializer})
    def post(self, request: Request) -> Response:
        """A token of ten minutes for inference in the session's tenant; it ends with the session."""
        _, session = own_session(request)
        token, text = issue_playground_token(acting=self.acting, session=session)
        shown = PlaygroundTokenSerializer({"token": text, "expires_at": token.expires_at}).data
        return Response(shown, status=201, headers={"Cache-Control": "no-store"})
