"""Provisioning: what a tenant's own directory says of its people and groups, by SCIM, and what follows for their memberships."""

from __future__ import annotations

from django.apps import AppConfig


class ProvisioningConfig(AppConfig):
    name = "ollamamax.provisioning"
    label = "provisioning"

    def ready(self) -> None:
        from ollamamax.provisioning.actions.arrival import Provisioned
        from ollamamax.sso import directories

        directories.installed.append(Provisioned())
