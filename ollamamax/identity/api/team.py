"""Teams of the caller's tenant, who is in them, and what was granted to them on single objects."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.actions.grant import end_team_grant, give_team_grant
from ollamamax.identity.actions.team import add_to_team, change_team, create_team, delete_team, remove_from_team
from ollamamax.identity.api.base import View
from ollamamax.identity.api.filters import TeamFilters, TeamGrantFilters
from ollamamax.identity.api.serializers import ChangeSerializer, ObjectGrantSerializer
from ollamamax.identity.models import Role, Team, TeamMember
from ollamamax.identity.queries import team as queries


class TeamSerializer(serializers.ModelSerializer[Team]):
    """Members who have the team's role, and what was granted to the team, besides their own."""

    role: serializers.SlugRelatedField[Role] = serializers.SlugRelatedField(
        slug_field="slug", read_only=True, allow_null=True, help_text="The slug of the role; null for none."
    )
    size = serializers.IntegerField(help_text="How many members it has.")

    class Meta:
        model = Team
        fields = ["id", "slug", "name", "role", "size", "created_at", "changed_at"]
        read_only_fields = fields


def _role(**given: Any) -> serializers.CharField:
    return serializers.CharField(
        max_length=63, required=False, allow_null=True, help_text="The slug of a role; null for none.", **given
    )


class TeamCreateSerializer(serializers.Serializer[Any]):
    slug = serializers.RegexField(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    name = serializers.CharField(max_length=100)
    role = _role()


class TeamChangeSerializer(ChangeSerializer):
    name = serializers.CharField(max_length=100, required=False)
    role = _role()


class TeamMemberSerializer(serializers.ModelSerializer[TeamMember]):
    member = serializers.UUIDField(source="membership_id", help_text="The id of the membership.")
    email = serializers.CharField(source="user.email")
    is_program = serializers.BooleanField(source="user.is_program")
    state = serializers.CharField(source="membership.state")

    class Meta:
        model = TeamMember
        fields = ["member", "email", "is_program", "state", "created_at"]
        read_only_fields = fields


class TeamMemberAddSerializer(serializers.Serializer[Any]):
    member = serializers.UUIDField(help_text="The id of a membership, of a person or a program.")


class TeamGrantSerializer(serializers.Serializer[Any]):
    """A permission that all who are in the team have on one object."""

    id = serializers.UUIDField(read_only=True)
    team = serializers.UUIDField(source="group.team.id", read_only=True)
    slug = serializers.CharField(source="group.team.slug", read_only=True, help_text="Of the team.")
    permission = serializers.CharField(source="permission.codename", read_only=True)
    kind = serializers.CharField(source="content_type.model", read_only=True)
    object = serializers.UUIDField(source="object_pk", read_only=True)
    created_at = serializers.DateTimeField(read_only=True)


class TeamGrantCreateSerializer(ObjectGrantSerializer):
    team = serializers.UUIDField(help_text="The id of a team.")


class TeamListView(View):
    permissions = {"GET": "member.view", "POST": "member.manage"}
    serializer_class = TeamSerializer
    filters = TeamFilters
    orderings = {"created_at": "created_at", "slug": "slug"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return queries.teams()

    @extend_schema(operation_id="teams_list", responses=TeamSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's teams, the newest first."""
        return self.listing(self.get_queryset(), TeamSerializer)

    @extend_schema(operation_id="teams_create", request=TeamCreateSerializer, responses={201: TeamSerializer})
    def post(self, request: Request) -> Response:
        """Make a team without members. Its role is never more than the caller's own."""
        given = TeamCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = create_team(acting=self.acting, **given.validated_data)
        return Response(TeamSerializer(queries.get_team(made.id)).data, status=201)


class TeamView(View):
    permissions = {"GET": "member.view", "PATCH": "member.manage", "DELETE": "member.manage"}
    serializer_class = TeamSerializer
    etagged = True
    volatile = frozenset({"size"})

    @extend_schema(operation_id="teams_retrieve", responses=TeamSerializer)
    def get(self, request: Request, team_id: uuid.UUID) -> Response:
        """One team."""
        return Response(TeamSerializer(queries.get_team(team_id)).data)

    @extend_schema(operation_id="teams_update", request=TeamChangeSerializer, responses=TeamSerializer)
    def patch(self, request: Request, team_id: uuid.UUID) -> Response:
        """Give a team another name or role. What its members and their keys may follows within a second."""
        given = TeamChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        change_team(acting=self.acting, team_id=team_id, **given.validated_data)
        return Response(TeamSerializer(queries.get_team(team_id)).data)

    @extend_schema(operation_id="teams_destroy", responses={204: None})
    def delete(self, request: Request, team_id: uuid.UUID) -> Response:
        """Delete a team, and what was granted to it. Its members stay members of the tenant."""
        delete_team(acting=self.acting, team_id=team_id)
        return Response(status=204)


class TeamMemberListView(View):
    permissions = {"GET": "member.view", "POST": "member.manage"}
    serializer_class = TeamMemberSerializer
    creates = True

    @extend_schema(operation_id="teams_members_list", responses=TeamMemberSerializer(many=True))
    def get(self, request: Request, team_id: uuid.UUID) -> Response:
        """Who is in the team, the newest first."""
        return self.listing(queries.team_members(queries.get_team(team_id)), TeamMemberSerializer)

    @extend_schema(
        operation_id="teams_members_add", request=TeamMemberAddSerializer, responses={201: TeamMemberSerializer}
    )
    def post(self, request: Request, team_id: uuid.UUID) -> Response:
        """Put a person or a program into the team. The caller may do all that the team may."""
        given = TeamMemberAddSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        joined = add_to_team(acting=self.acting, team_id=team_id, membership_id=given.validated_data["member"])
        return Response(TeamMemberSerializer(joined).data, status=201)


class TeamMemberView(View):
    permissions = {"DELETE": "member.manage"}
    serializer_class = TeamMemberSerializer

    @extend_schema(operation_id="teams_members_remove", responses={204: None})
    def delete(self, request: Request, team_id: uuid.UUID, membership_id: uuid.UUID) -> Response:
        """Take a member out of the team; what runs by its rights alone ends."""
        remove_from_team(acting=self.acting, team_id=team_id, membership_id=membership_id)
        return Response(status=204)


class TeamGrantListView(View):
    permissions = {"GET": "member.view", "POST": "member.manage"}
    serializer_class = TeamGrantSerializer
    filters = TeamGrantFilters
    orderings = {"created_at": "created_at"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return queries.team_grants()

    @extend_schema(operation_id="team_grants_list", responses=TeamGrantSerializer(many=True))
    def get(self, request: Request) -> Response:
        """What teams may do on single models, nodes and pools, the newest grant first."""
        return self.listing(self.get_queryset(), TeamGrantSerializer)

    @extend_schema(
        operation_id="team_grants_create", request=TeamGrantCreateSerializer, responses={201: TeamGrantSerializer}
    )
    def post(self, request: Request) -> Response:
        """Give a team a permission on one object, which the caller has there. It counts within a second."""
        given = TeamGrantCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        made = give_team_grant(
            acting=self.acting,
            team_id=values["team"],
            permission=values["permission"],
            kind=values["kind"],
            object_id=values["object"],
        )
        return Response(TeamGrantSerializer(queries.get_team_grant(made.id)).data, status=201)


class TeamGrantView(View):
    permissions = {"GET": "member.view", "DELETE": "member.manage"}
    serializer_class = TeamGrantSerializer
    etagged = True

    @extend_schema(operation_id="team_grants_retrieve", responses=TeamGrantSerializer)
    def get(self, request: Request, grant_id: uuid.UUID) -> Response:
        """One grant to a team."""
        return Response(TeamGrantSerializer(queries.get_team_grant(grant_id)).data)

    @extend_schema(operation_id="team_grants_destroy", responses={204: None})
    def delete(self, request: Request, grant_id: uuid.UUID) -> Response:
        """End a grant to a team, and what runs by it."""
        end_team_grant(acting=self.acting, grant_id=grant_id)
        return Response(status=204)
