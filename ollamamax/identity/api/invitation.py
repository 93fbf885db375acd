"""Invitations of the caller's tenant, and what who was invited does with the link."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.actions.invitation import MOST_DAYS, accept_invitation, invite, revoke_invitation
from ollamamax.identity.api.base import PUBLIC, View
from ollamamax.identity.api.request_id import id_of
from ollamamax.identity.api.serializers import SessionSerializer
from ollamamax.identity.api.session import session_answer
from ollamamax.identity.models import Invitation, User
from ollamamax.identity.queries.invitation import find_open, get_invitation, invitations, is_open
from ollamamax.identity.queries.member import find_user
from ollamamax.identity.tokens import MOST_TOKEN
from ollamamax.mail.letters import LANGUAGES

MOST_PASSWORD = 1024
STATES = ("open", "accepted", "revoked", "expired")


class InvitationSerializer(serializers.ModelSerializer[Invitation]):
    """Without its link, which is shown once."""

    role = serializers.CharField(source="role.slug", help_text="The slug of the role.")
    state = serializers.SerializerMethodField()

    class Meta:
        model = Invitation
        fields = [
            *("id", "email", "role", "state", "by_mail", "invited_by", "invited_by_name", "created_at"),
            *("expires_at", "accepted_at", "revoked_at"),
        ]
        read_only_fields = fields

    def get_state(self, invitation: Invitation) -> str:
        if invitation.accepted_at is not None:
            return "accepted"
        if invitation.revoked_at is not None:
            return "revoked"
        return "open" if is_open(invitation) else "expired"


class CreatedInvitationSerializer(InvitationSerializer):
    """A new invitation with its link, which is shown this once."""

    link = serializers.CharField(read_only=True)

    class Meta(InvitationSerializer.Meta):
        fields = [*InvitationSerializer.Meta.fields, "link"]
        read_only_fields = fields


class InvitationCreateSerializer(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=254, help_text="Whoever accepts it has this address.")
    role = serializers.CharField(max_length=63, help_text="The slug of a role that may do no more than the caller.")
    days = serializers.IntegerField(
        min_value=1, max_value=MOST_DAYS, default=7, help_text="How long it can be accepted."
    )
    send = serializers.BooleanField(default=False, help_text="By mail too, where this installation sends any.")
    language = serializers.ChoiceField(LANGUAGES, default="en", help_text="Of the letter.")


class InvitationFilters(serializers.Serializer[Any]):
    email = serializers.CharField(required=False, max_length=254, source="email__icontains", help_text="A part of it.")
    role = serializers.CharField(required=False, max_length=63, source="role__slug", help_text="The slug of a role.")


class InvitationTokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=MOST_TOKEN, help_text="What follows `#` in the link.")


class OpenInvitationSerializer(serializers.Serializer[Any]):
    """``has_account``: there is a user with the address, who logs in to accept."""

    tenant = serializers.CharField(source="tenant.name")
    email = serializers.EmailField()
    role = serializers.CharField(source="role.name")
    invited_by = serializers.CharField(source="invited_by_name")
    expires_at = serializers.DateTimeField()
    has_account = serializers.SerializerMethodField()

    def get_has_account(self, invitation: Invitation) -> bool:
        return find_user(invitation.email) is not None


class AcceptSerializer(InvitationTokenSerializer):
    """``name`` and ``password`` are of a new user; who is logged in sends neither."""

    name = serializers.CharField(max_length=100, required=False, allow_blank=True)
    password = serializers.CharField(
        max_length=MOST_PASSWORD, required=False, trim_whitespace=False, style={"input_type": "password"}
    )


class InvitationListView(View):
    permissions = {"GET": "member.manage", "POST": "member.manage"}
    serializer_class = InvitationSerializer
    filters = InvitationFilters
    orderings = {"created_at": "created_at", "email": "email", "expires_at": "expires_at"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return invitations()

    @extend_schema(operation_id="invitations_list", responses=InvitationSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's invitations in whatever state, the newest first."""
        return self.listing(self.get_queryset(), InvitationSerializer)

    @extend_schema(
        operation_id="invitations_create",
        request=InvitationCreateSerializer,
        responses={201: CreatedInvitationSerializer},
    )
    def post(self, request: Request) -> Response:
        """Invite somebody. The link is in this answer and never again; one for the same address before ends."""
        given = InvitationCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        invitation, link = invite(acting=self.acting, **given.validated_data)
        shown = InvitationSerializer(invitation).data
        return Response({**shown, "link": link}, status=201, headers={"Cache-Control": "no-store"})


class InvitationView(View):
    permissions = {"GET": "member.manage", "DELETE": "member.manage"}
    serializer_class = InvitationSerializer
    etagged = True

    @extend_schema(operation_id="invitations_retrieve", responses=InvitationSerializer)
    def get(self, request: Request, invitation_id: uuid.UUID) -> Response:
        """One invitation."""
        return Response(InvitationSerializer(get_invitation(invitation_id)).data)

    @extend_schema(operation_id="invitations_destroy", responses={204: None})
    def delete(self, request: Request, invitation_id: uuid.UUID) -> Response:
        """Revoke an invitation: its link works no more. Doing so again changes nothing."""
        revoke_invitation(acting=self.acting, invitation_id=invitation_id)
        return Response(status=204)


class OpenInvitationView(View):
    permissions = {"POST": PUBLIC}
    authentication_classes = [SessionAuthentication]
    serializer_class = OpenInvitationSerializer

    @extend_schema(
        operation_id="invitations_open", request=InvitationTokenSerializer, responses=OpenInvitationSerializer
    )
    def post(self, request: Request) -> Response:
        """What an invitation is for, by what its link holds."""
        SessionAuthentication().enforce_csrf(request)
        given = InvitationTokenSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        shown = OpenInvitationSerializer(find_open(given.validated_data["token"])).data
        return Response(shown, headers={"Cache-Control": "no-store"})


class InvitationAcceptView(View):
    permissions = {"POST": PUBLIC}
    authentication_classes = [SessionAuthentication]
    serializer_class = SessionSerializer

    @extend_schema(operation_id="invitations_accept", request=AcceptSerializer, responses=SessionSerializer)
    def post(self, request: Request) -> Response:
        """Become a member: as who is logged in, or as a new user, who is logged in then."""
        SessionAuthentication().enforce_csrf(request)
        given = AcceptSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        known = request.user if isinstance(request.user, User) else None
        if known is None and "password" not in given.validated_data:
            raise serializers.ValidationError({"password": ["This field is required."]})
        user = accept_invitation(
            request=request._request, user=known, request_id=id_of(request), **given.validated_data
        )
        return session_answer(request, user)
