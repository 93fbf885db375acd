"""Share a model with every tenant, or no longer."""

from __future__ import annotations

import uuid

from django.db import transaction

from models_registry import publication
from models_registry.models import Model
from models_registry.queries.model import get_channel
from ollamamax.audit.actions import record
from ollamamax.identity.queries.tenant import is_operator
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Forbidden
from ollamamax.kernel.principal import Principal


def share_model(*, acting: Principal, channel_id: uuid.UUID, shared: bool) -> None:
    """Share the model of this channel, with all its tags, or end that. Repeated, nothing happens.

    Raises `Forbidden` in every tenant but the operator's, and `NotFound`.
    """
    tenant = require_in_tenant(acting, "model.manage")
    if shared and not is_operator(tenant):
        raise Forbidden("Only models of the operator of this installation can be shared.", param="shared")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        model = Model.objects.select_for_update().get(id=get_channel(acting, channel_id).model_id)
        if model.shared == shared:
            return
        model.shared = shared
        model.save(update_fields=["shared"])
        record(
            acting=acting,
            action="model.share" if shared else "model.unshare",
            target_type="model",
            target_id=model.id,
            tenant=tenant,
            detail={"name": model.name},
        )
        publication.publish_channels_on_commit(model.channels.select_related("model", "version"))
