"""The tables of provisioning, one noun a file."""

from __future__ import annotations

from ollamamax.provisioning.models.group import DirectoryGroup, GroupMember
from ollamamax.provisioning.models.token import ScimToken
from ollamamax.provisioning.models.user import DirectoryUser

__all__ = ["DirectoryGroup", "DirectoryUser", "GroupMember", "ScimToken"]
