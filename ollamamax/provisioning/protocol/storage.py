"""The storage of the SCIM library: reads by our queries, writes by our actions, of one provider's directory."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from django.db.models import QuerySet
from scim2_models import (
    EnterpriseUser,
    Group,
    GroupMember,
    GroupMembership,
    InvalidValueException,
    Meta,
    NotFoundException,
    Reference,
    Resource,
    ResourceType,
    ResponseParameters,
    SearchRequest,
    User,
)
from scim2_server.storage import ScimStorage, SearchPage

from ollamamax.kernel.principal import Principal
from ollamamax.provisioning.actions.group import (
    change_directory_group,
    create_directory_group,
    remove_directory_group,
)
from ollamamax.provisioning.actions.user import (
    bounded,
    change_directory_user,
    create_directory_user,
    remove_directory_user,
)
from ollamamax.provisioning.models import DirectoryGroup, DirectoryUser
from ollamamax.provisioning.protocol import search
from ollamamax.provisioning.queries.directory import get_group, get_user, groups, users
from ollamamax.sso.models import IdentityProvider

DirectoryPerson = User[EnterpriseUser]
_VERSION = re.compile(r'W/"([0-9]{1,9})"')


class DirectoryStorage(ScimStorage):
    """Within the tenant's scope."""

    def __init__(self, provider: IdentityProvider, acting: Principal) -> None:
        self._provider, self._acting = provider, acting

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        id_ = _id(resource_id)
        if _is_user(resource_type):
            return person_of(get_user(self._provider.pk, id_))
        return group_of(get_group(self._provider.pk, id_))

    def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        start = search_request.start_index_0 or 0
        count = search_request.count or 0
        kinds: list[tuple[QuerySet[Any], type[Resource[Any]], Any, Callable[[Any], Resource[Any]]]] = [
            (users(self._provider.pk), DirectoryPerson, search.USERS, person_of)
            if _is_user(each)
            else (groups(self._provider.pk), Group, search.GROUPS, group_of)
            for each in resource_types
        ]
        if search_request.filter is None and search_request.sort_by is None and len(kinds) == 1:
            rows, _, _, made = kinds[0]
            return SearchPage(rows.count(), [made(row) for row in rows[start : start + count]])
        found = [
            each
            for rows, model, columns, made in kinds
            for each in search.found_in(rows, search_request, model, columns, made)
        ]
        return SearchPage(len(found), search.in_order(search_request, found)[start : start + count])

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        if isinstance(resource, Group):
            made = create_directory_group(acting=self._acting, provider=self._provider, **_values(resource))
            return group_of(get_group(self._provider.pk, made.pk))
        row = create_directory_user(acting=self._acting, provider=self._provider, resource=_plain(resource))
        return person_of(get_user(self._provider.pk, row.pk))

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        id_, expected = _id(resource.id or ""), _expected(expected_version)
        if isinstance(resource, Group):
            change_directory_group(
                acting=self._acting,
                provider=self._provider,
                group_id=id_,
                expected=expected,
                **_values(resource),
            )
            return group_of(get_group(self._provider.pk, id_))
        change_directory_user(
            acting=self._acting, provider=self._provider, user_id=id_, resource=_plain(resource), expected=expected
        )
        return person_of(get_user(self._provider.pk, id_))

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        id_, expected = _id(resource_id), _expected(expected_version)
        if _is_user(resource_type):
            remove_directory_user(acting=self._acting, provider=self._provider, user_id=id_, expected=expected)
        else:
            remove_directory_group(acting=self._acting, provider=self._provider, group_id=id_, expected=expected)


def person_of(row: DirectoryUser) -> Resource[Any]:
    """As the library has it, with the groups."""
    found = DirectoryPerson.model_validate(row.resource)
    found.id = row.pk.hex
    memberships = [
        GroupMembership(
            value=each.group_id.hex,
            ref=Reference[Group](f"Groups/{each.group_id.hex}"),
            display=each.group.display_name,
            type="direct",
        )
        for each in row.in_groups.all()
    ]
    found.groups = memberships or None
    found.meta = _meta("User", row)
    return found


def group_of(row: DirectoryGroup) -> Resource[Any]:
    members = [
        GroupMember(
            value=each.user_id.hex,
            ref=Reference[User | Group](f"Users/{each.user_id.hex}"),  # type: ignore[type-arg]
            type="User",
            display=each.display or each.user.user_name,
        )
        for each in row.members.all()
    ]
    found = Group(display_name=row.display_name, external_id=row.external_id or None, members=members or None)
    found.id = row.pk.hex
    found.meta = _meta("Group", row)
    return found


def _meta(kind: str, row: DirectoryUser | DirectoryGroup) -> Meta:
    return Meta(resource_type=kind, created=row.created_at, last_modified=row.changed_at, version=f'W/"{row.version}"')


def _plain(resource: Resource[Any]) -> dict[str, Any]:
    plain: dict[str, Any] = resource.model_dump(mode="json")
    return plain


def _values(group: Group) -> dict[str, Any]:
    return {
        "display_name": group.display_name or "",
        "external_id": group.external_id or "",
        "members": dict(_users_of(group.members or ())),
    }


def _users_of(members: Iterable[GroupMember]) -> Iterable[tuple[uuid.UUID, str]]:
    for each in members:
        if each.type == "Group":
            raise InvalidValueException(detail="Groups are not kept within groups: send the users.")
        try:
            yield uuid.UUID(each.value or ""), bounded(each.display, "display")
        except ValueError:
            raise InvalidValueException(detail="A member's value is the id of a user.") from None


def _is_user(resource_type: ResourceType) -> bool:
    return resource_type.name == "User"


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise NotFoundException(detail="There is no such resource.") from None


def _expected(version: str | None) -> int | None:
    found = _VERSION.fullmatch(version or "")
    return None if found is None else int(found[1])
