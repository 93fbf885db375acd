"""Pools of nodes, and Django's rows of the permissions that can be granted on a node or a pool."""

import django.db.models.deletion
from django.db import migrations, models

import ollamamax.kernel.ids


class Migration(migrations.Migration):
    dependencies = [
        ("cluster", "0004_history"),
        ("identity", "0015_sessions_and_rotation"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="node",
            options={
                "default_permissions": (),
                "permissions": [("node.view", "See the node"), ("node.manage", "Manage the node")],
            },
        ),
        migrations.CreateModel(
            name="Pool",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=63)),
                ("selector", models.JSONField(blank=True, default=dict)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("changed_at", models.DateTimeField(auto_now=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
                    ),
                ),
            ],
            options={
                "permissions": [
                    ("node.view", "See the nodes of the pool"),
                    ("node.manage", "Manage the nodes of the pool"),
                ],
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="PoolNode",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "node",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="in_pools", to="cluster.node"
                    ),
                ),
                (
                    "pool",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="members", to="cluster.pool"
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="pool",
            constraint=models.UniqueConstraint(
                fields=("tenant", "name"),
                name="cluster_pool_name_unique",
                violation_error_message="There is a pool of this name already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="pool",
            constraint=models.CheckConstraint(
                condition=models.Q(("name__regex", "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")),
                name="cluster_pool_name_form",
                violation_error_message="A pool's name has 1 to 63 small letters, digits and inner hyphens.",
            ),
        ),
        migrations.AddConstraint(
            model_name="poolnode",
            constraint=models.UniqueConstraint(
                fields=("pool", "node"),
                name="cluster_pool_node_unique",
                violation_error_message="This node is in the pool already.",
            ),
        ),
    ]
