"""Applications of the caller's tenant: front ends whose people log in here."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.api.base import View
from ollamamax.identity.api.serializers import ChangeSerializer
from ollamamax.identity.models import SigningKey
from ollamamax.oauth.actions.application import (
    MOST_USERS,
    change_application,
    create_application,
    delete_application,
    rotate_application_secret,
)
from ollamamax.oauth.models import Application
from ollamamax.oauth.queries.application import applications, get_application
from ollamamax.oauth.redirects import LONGEST, MOST


class ApplicationSerializer(serializers.ModelSerializer[Application]):
    """A client of OpenID Connect. `id` is its `client_id`. A public one has no secret."""

    public = serializers.BooleanField(source="is_public")
    redirect_uris = serializers.ListField(child=serializers.CharField())
    log_out_uris = serializers.ListField(child=serializers.CharField())
    roles = serializers.SerializerMethodField()
    teams = serializers.SerializerMethodField()

    class Meta:
        model = Application
        fields = [
            *("id", "name", "public", "redirect_uris", "log_out_uris", "for_everybody", "roles", "teams", "enabled"),
            "id_token_signed_response_alg",
            *("created_by_name", "created_at", "changed_at", "secret_made_at", "used_at"),
        ]
        read_only_fields = fields

    def get_roles(self, application: Application) -> list[str]:
        return sorted(each.role.slug for each in application.users.all() if each.role is not None)

    def get_teams(self, application: Application) -> list[str]:
        return sorted(each.team.slug for each in application.users.all() if each.team is not None)


class CreatedApplicationSerializer(ApplicationSerializer):
    """An application with its secret, which is shown this once; empty for a public one."""

    client_secret = serializers.CharField(read_only=True)

    class Meta(ApplicationSerializer.Meta):
        fields = [*ApplicationSerializer.Meta.fields, "client_secret"]
        read_only_fields = fields


def _addresses(help_text: str, **more: Any) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.CharField(max_length=LONGEST), max_length=MOST, help_text=help_text, **more
    )


def _slugs(help_text: str) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.CharField(max_length=63), max_length=MOST_USERS, required=False, help_text=help_text
    )


def _algorithm(help_text: str) -> serializers.ChoiceField:
    return serializers.ChoiceField(
        SigningKey.Algorithm.choices, required=False, help_text=f"By what its ID tokens are signed. {help_text}"
    )


_REDIRECTS = "Where codes may be sent to. A request's must be one of these, letter by letter."
_LOG_OUTS = "Where a browser may be led to after log-out; compared in the same way."


class ApplicationCreateSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    redirect_uris = _addresses(_REDIRECTS, allow_empty=False)
    log_out_uris = _addresses(_LOG_OUTS, required=False)
    public = serializers.BooleanField(required=False, help_text="Of a program that cannot keep a secret.")
    id_token_signed_response_alg = _algorithm("RS256 where it is left out.")
    for_everybody = serializers.BooleanField(required=False, help_text="Whether every member of the tenant may use it.")
    roles = _slugs("Whose members may use it, by the role of their membership, where it is not for everybody.")
    teams = _slugs("Who may use it besides.")


class ApplicationChangeSerializer(ChangeSerializer):
    name = serializers.CharField(max_length=100, required=False)
    redirect_uris = _addresses(_REDIRECTS, allow_empty=False, required=False)
    log_out_uris = _addresses(_LOG_OUTS, required=False)
    for_everybody = serializers.BooleanField(required=False)
    roles = _slugs("Replaces them all.")
    teams = _slugs("Replaces them all.")
    enabled = serializers.BooleanField(required=False)
    id_token_signed_response_alg = _algorithm("Of ID tokens from now on.")


class ApplicationFilters(serializers.Serializer[Any]):
    name = serializers.CharField(required=False, max_length=100, source="name__icontains", help_text="A part of it.")


class ApplicationListView(View):
    permissions = {"GET": "sso.view", "POST": "sso.manage"}
    serializer_class = ApplicationSerializer
    filters = ApplicationFilters
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return applications()

    @extend_schema(operation_id="applications_list", responses=ApplicationSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's applications, the newest first."""
        return self.listing(self.get_queryset(), ApplicationSerializer)

    @extend_schema(
        operation_id="applications_create",
        request=ApplicationCreateSerializer,
        responses={201: CreatedApplicationSerializer},
    )
    def post(self, request: Request) -> Response:
        """Let people of the tenant log in to a front end. Its secret is shown this once."""
        given = ApplicationCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return _with_secret(*create_application(acting=self.acting, **given.validated_data), status=201)


class ApplicationView(View):
    permissions = {"GET": "sso.view", "PATCH": "sso.manage", "DELETE": "sso.manage"}
    serializer_class = ApplicationSerializer
    etagged = True
    volatile = frozenset({"used_at"})

    @extend_schema(operation_id="applications_retrieve", responses=ApplicationSerializer)
    def get(self, request: Request, application_id: uuid.UUID) -> Response:
        """One application."""
        return Response(ApplicationSerializer(get_application(application_id)).data)

    @extend_schema(
        operation_id="applications_update", request=ApplicationChangeSerializer, responses=ApplicationSerializer
    )
    def patch(self, request: Request, application_id: uuid.UUID) -> Response:
        """Change an application. Who may not use it any more gets no token from now on."""
        given = ApplicationChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        changed = change_application(acting=self.acting, application_id=application_id, **given.validated_data)
        return Response(ApplicationSerializer(changed).data)

    @extend_schema(operation_id="applications_destroy", responses={204: None})
    def delete(self, request: Request, application_id: uuid.UUID) -> Response:
        """Let nobody log in to it any more: its tokens count no more."""
        delete_application(acting=self.acting, application_id=application_id)
        return Response(status=204)


class ApplicationSecretView(View):
    permissions = {"POST": "sso.manage"}
    serializer_class = CreatedApplicationSerializer
    creates = True

    @extend_schema(operation_id="applications_rotate", request=None, responses={201: CreatedApplicationSerializer})
    def post(self, request: Request, application_id: uuid.UUID) -> Response:
        """Another secret, which is shown this once. The one before counts no more."""
        return _with_secret(*rotate_application_secret(acting=self.acting, application_id=application_id), status=201)


def _with_secret(application: Application, secret: str, *, status: int) -> Response:
    application.client_secret = secret  # type: ignore[attr-defined]
    return Response(CreatedApplicationSerializer(application).data, status=status)
