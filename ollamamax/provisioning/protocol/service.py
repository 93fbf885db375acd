"""What we say of ourselves to directories (SCIM 2.0, RFC 7643 and 7644), and how our errors are told there."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import OperationalError
from pydantic_core import PydanticSerializationError
from scim2_models import (
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    ConflictException,
    EnterpriseUser,
    Error,
    ETag,
    Filter,
    ForbiddenException,
    Group,
    InvalidValueException,
    NotFoundException,
    Patch,
    PreconditionFailedException,
    ResourceType,
    SCIMException,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    UnauthorizedException,
    UniquenessException,
    User,
)
from scim2_server.service import ScimService

from ollamamax import logs
from ollamamax.kernel import errors
from ollamamax.kernel.errors import OllamaMaxError

log = logs.get(__name__)
MOST_RESULTS = 200
"""Of one page."""
MOST_OPERATIONS = 200
"""Of one bulk request."""
MOST_BYTES = 1024 * 1024
"""Of any request."""
MOST_FILTER = 8 * 1024
"""Characters of a filter, or of a path of a change, which holds one: to read a long one takes a processor for minutes."""

CONFIG = ServiceProviderConfig(
    patch=Patch(supported=True),
    bulk=Bulk(supported=True, max_operations=MOST_OPERATIONS, max_payload_size=MOST_BYTES),
    filter=Filter(supported=True, max_results=MOST_RESULTS),
    change_password=ChangePassword(supported=False),
    sort=Sort(supported=True),
    etag=ETag(supported=True),
    authentication_schemes=[
        AuthenticationScheme(
            type=AuthenticationScheme.Type.oauthbearertoken,
            name="Bearer token",
            description="A token that an administrator of the tenant made for the identity provider.",
            primary=True,
        )
    ],
)

PROVIDER = ScimProvider(
    models=[User, EnterpriseUser, Group],
    resource_types=[ResourceType.from_resource(User[EnterpriseUser]), ResourceType.from_resource(Group)],
    config=CONFIG,
    # As Entra ID needs it; what nobody declares is dropped, and never kept.
    policy=ScimPolicy(
        unknown=ScimPolicy.Unknown.ignore,
        remove_value_as_filter=ScimPolicy.RemoveValue.apply,
        unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
    ),
)
_KNOWN: dict[type[OllamaMaxError], type[SCIMException]] = {
    errors.InvalidRequest: InvalidValueException,
    errors.Unauthenticated: UnauthorizedException,
    errors.Forbidden: ForbiddenException,
    errors.NotFound: NotFoundException,
    errors.Conflict: ConflictException,
    errors.PreconditionFailed: PreconditionFailedException,
}


def told(error: Exception) -> SCIMException | None:
    """The error as SCIM tells it; ``None`` for one that is our own fault."""
    if isinstance(error, SCIMException):
        return error
    if isinstance(error, errors.Conflict) and error.fields.get("param") == "userName":
        return UniquenessException(detail=error.message)
    if isinstance(error, OllamaMaxError):
        kind = next((found for known, found in _KNOWN.items() if isinstance(error, known)), SCIMException)
        made = kind(detail=error.message)
        made.status = error.status
        return made
    if isinstance(error, ValidationError | PydanticSerializationError | RecursionError):
        return InvalidValueException(detail="The request cannot be understood.")
    if isinstance(error, OperationalError):
        made = SCIMException(detail="The database does not answer. Try again soon.")
        made.status = 503
        return made
    return None


class DirectoryService(ScimService):
    """Tells our errors as SCIM does, those of single operations of a bulk request too."""

    @staticmethod
    def error_of(exception: Exception) -> Error:
        known = told(exception)
        if known is None:
            log.error("scim_failed", exc_info=exception)
            return Error(status=500, detail="Something went wrong here.")
        return known.to_error()


SERVICE = DirectoryService(PROVIDER)
