"""A new password by mail, for who cannot log in."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.actions.password_reset import ask_for_reset, reset_password
from ollamamax.identity.api.base import PUBLIC, View
from ollamamax.identity.api.request_id import id_of
from ollamamax.identity.tokens import MOST_TOKEN
from ollamamax.mail.letters import LANGUAGES

MOST_PASSWORD = 1024


class ResetRequestSerializer(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=254)
    language = serializers.ChoiceField(LANGUAGES, default="en", help_text="Of the letter.")


class PasswordResetSerializer(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=MOST_TOKEN, help_text="What follows `#` in the letter's link.")
    password = serializers.CharField(max_length=MOST_PASSWORD, trim_whitespace=False, style={"input_type": "password"})


class ResetRequestView(View):
    permissions = {"POST": PUBLIC}
    authentication_classes = [SessionAuthentication]

    @extend_schema(operation_id="account_reset", request=ResetRequestSerializer, responses={202: None})
    def post(self, request: Request) -> Response:
        """Ask for a letter with a link to set a new password. The answer is the same whether there is such a user or not."""
        SessionAuthentication().enforce_csrf(request)
        given = ResetRequestSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        ask_for_reset(address=request.META.get("REMOTE_ADDR", ""), **given.validated_data)
        return Response(status=202)


class PasswordResetView(View):
    permissions = {"POST": PUBLIC}
    authentication_classes = [SessionAuthentication]

    @extend_schema(operation_id="account_reset_password", request=PasswordResetSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        """Set a new password by the letter's link, which works once. Every session of the user ends."""
        SessionAuthentication().enforce_csrf(request)
        given = PasswordResetSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        reset_password(request_id=id_of(request), **given.validated_data)
        return Response(status=204)
