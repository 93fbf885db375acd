"""Addresses of the registry below `/api/v1/`; blobs are served before Django, by `models_registry.protocol.blobs`."""

from __future__ import annotations

from django.urls import path

from models_registry.api.alias import AliasListView, AliasView
from models_registry.api.bundle import (
    BundleExportView,
    BundleImportView,
    BundleSignersView,
    BundleUploadTokenView,
)
from models_registry.api.channel import (
    ModelChannelListView,
    ModelComparisonView,
    ModelMoveListView,
    ModelProtectionView,
    ModelRollbackView,
)
from models_registry.api.job import JobListView, JobRetryView, JobView
from models_registry.api.memory import ModelMemoryView, NodeMemoryView
from models_registry.api.mirror import MirroredTagListView, MirrorListView, MirrorView
from models_registry.api.model import ModelListView, ModelView
from models_registry.api.order import ModelCopyView, ModelCreateView, ModelPullView, ModelUsesView
from models_registry.api.placement import PlacementApplyView, PlacementView
from models_registry.api.promotion import (
    PromotionApproveView,
    PromotionListView,
    PromotionPolicyView,
    PromotionRejectView,
)
from models_registry.api.release import ReleaseListView, ReleaseView
from models_registry.api.replication import (
    ModelReplicationView,
    ReplicaPauseView,
    ReplicaResumeView,
    TenantReplicationView,
)
from models_registry.api.rollout import (
    ModelRolloutListView,
    RolloutAdvanceView,
    RolloutListView,
    RolloutPauseView,
    RolloutResumeView,
    RolloutTakeBackView,
    RolloutView,
)
from ollamamax.identity.api.bulk import bulk_of

urlpatterns = [
    path("mirrors", MirrorListView.as_view(), name="mirrors"),
    path("mirrors/<uuid:mirror_id>", MirrorView.as_view(), name="mirror"),
    path("mirrors/<uuid:mirror_id>/tags", MirroredTagListView.as_view(), name="mirror-tags"),
    path("models", ModelListView.as_view(), name="models"),
    path("models/bulk", bulk_of(ModelView, "channel_id", "models").as_view(), name="models-bulk"),
    path("models/create", ModelCreateView.as_view(), name="models-create"),
    path("models/pull", ModelPullView.as_view(), name="models-pull"),
    path("models/<uuid:channel_id>/copy", ModelCopyView.as_view(), name="model-copy"),
    path("models/<uuid:channel_id>/uses", ModelUsesView.as_view(), name="model-uses"),
    path("models/<uuid:channel_id>/versions", ReleaseListView.as_view(), name="model-versions"),
    path("models/<uuid:channel_id>/channels", ModelChannelListView.as_view(), name="model-channels"),
    path("models/<uuid:channel_id>/moves", ModelMoveListView.as_view(), name="model-moves"),
    path("models/<uuid:channel_id>/rollouts", ModelRolloutListView.as_view(), name="model-rollouts"),
    path("models/<uuid:channel_id>/replication", ModelReplicationView.as_view(), name="model-replication"),
    path("models/<uuid:channel_id>/replicas/<uuid:node_id>/pause", ReplicaPauseView.as_view(), name="replica-pause"),
    path("models/<uuid:channel_id>/replicas/<uuid:node_id>/resume", ReplicaResumeView.as_view(), name="replica-resume"),
    path("models/<uuid:channel_id>/memory", ModelMemoryView.as_view(), name="model-memory"),
    path("nodes/<uuid:node_id>/memory", NodeMemoryView.as_view(), name="node-memory"),
    path("placement/apply", PlacementApplyView.as_view(), name="placement-apply"),
    path("placement", PlacementView.as_view(), name="placement"),
    path("replication", TenantReplicationView.as_view(), name="replication"),
    path("models/<uuid:channel_id>/rollback", ModelRollbackView.as_view(), name="model-rollback"),
    path("models/<uuid:channel_id>/protection", ModelProtectionView.as_view(), name="model-protection"),
    path("models/<uuid:channel_id>/comparison", ModelComparisonView.as_view(), name="model-comparison"),
    path("models/<uuid:channel_id>", ModelView.as_view(), name="model"),
    path("aliases", AliasListView.as_view(), name="aliases"),
    path("aliases/bulk", bulk_of(AliasView, "alias_id", "aliases").as_view(), name="aliases-bulk"),
    path("aliases/<uuid:alias_id>", AliasView.as_view(), name="alias"),
    path("versions/<uuid:release_id>", ReleaseView.as_view(), name="version"),
    path("rollouts", RolloutListView.as_view(), name="rollouts"),
    path("rollouts/<uuid:rollout_id>", RolloutView.as_view(), name="rollout"),
    path("rollouts/<uuid:rollout_id>/pause", RolloutPauseView.as_view(), name="rollout-pause"),
    path("rollouts/<uuid:rollout_id>/resume", RolloutResumeView.as_view(), name="rollout-resume"),
    path("rollouts/<uuid:rollout_id>/advance", RolloutAdvanceView.as_view(), name="rollout-advance"),
    path("rollouts/<uuid:rollout_id>/roll-back", RolloutTakeBackView.as_view(), name="rollout-roll-back"),
    path("promotions", PromotionListView.as_view(), name="promotions"),
    path("promotions/policy", PromotionPolicyView.as_view(), name="promotion-policy"),
    path("promotions/<uuid:promotion_id>/approve", PromotionApproveView.as_view(), name="promotion-approve"),
    path("promotions/<uuid:promotion_id>/reject", PromotionRejectView.as_view(), name="promotion-reject"),
    path("bundles/export", BundleExportView.as_view(), name="bundles-export"),
    path("bundles/upload-token", BundleUploadTokenView.as_view(), name="bundles-upload-token"),
    path("bundles/import", BundleImportView.as_view(), name="bundles-import"),
    path("bundles/signers", BundleSignersView.as_view(), name="bundle-signers"),
    path("jobs", JobListView.as_view(), name="jobs"),
    path("jobs/<uuid:job_id>/retry", JobRetryView.as_view(), name="job-retry"),
    path("jobs/<uuid:job_id>", JobView.as_view(), name="job"),
]
