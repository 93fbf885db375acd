"""Pool: nodes of a tenant under one name, for rights that count on each of them; PoolNode: a node that was put into one by hand."""

from __future__ import annotations

from django.db import models

from cluster.models.node import Node
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Pool(models.Model):
    """Its nodes are those put into it, and those that have all labels of ``selector``, where that names any."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=63)
    selector = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects: models.Manager[Pool] = tenant_manager()

    class Meta:
        default_permissions = ()
        permissions = [("node.view", "See the nodes of the pool"), ("node.manage", "Manage the nodes of the pool")]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="cluster_pool_name_unique",
                violation_error_message="There is a pool of this name already.",
            ),
            models.CheckConstraint(
                condition=models.Q(name__regex=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"),
                name="cluster_pool_name_form",
                violation_error_message="A pool's name has 1 to 63 small letters, digits and inner hyphens.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PoolNode(models.Model):
    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    pool = models.ForeignKey(Pool, on_delete=models.CASCADE, related_name="members")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="in_pools")

    objects: models.Manager[PoolNode] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["pool", "node"],
                name="cluster_pool_node_unique",
                violation_error_message="This node is in the pool already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.node_id} in {self.pool_id}"
