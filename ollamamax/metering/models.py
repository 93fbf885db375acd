"""What each request really used, why it ran where it ran, and the sums of each hour and day, written by `write_usage` alone; budgets and prices.

Records and routes lie in partitions by the time in the request's id: `metering_make_partitions` and `metering_drop_partitions`,
functions of the tables' owner, make them ahead and drop what is too old.
"""

from __future__ import annotations

from django.db import models

from ollamamax.contract.budgets import PERIODS as BUDGET_PERIODS
from ollamamax.contract.budgets import UNITS, WHOSE
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids

OUTCOMES = ["ok", "cancelled", "failed", "gateway_lost", "node_lost", "refused"]


class UsageRecord(models.Model):
    """Times in milliseconds; ``None`` where the thing never happened. Key, node and version are kept by id, so that they
    may go and the record stays."""

    request = models.UUIDField(primary_key=True)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+", db_index=False)
    key = models.UUIDField()
    user = models.CharField(max_length=256, default="")
    """Whom the request names as its end user; empty where it names nobody."""
    model = models.CharField(max_length=400)
    version = models.CharField(max_length=71)
    node = models.UUIDField(null=True)
    """``None``: it ended before any node was given it."""
    node_name = models.CharField(max_length=100)
    api = models.CharField(max_length=100)
    trace = models.CharField(max_length=32)
    received_at = models.DateTimeField()
    prompt_tokens = models.PositiveBigIntegerField()
    completion_tokens = models.PositiveBigIntegerField()
    queue_ms = models.FloatField(null=True)
    first_token_ms = models.FloatField(null=True)
    duration_ms = models.FloatField()
    outcome = models.CharField(max_length=16)
    error = models.CharField(max_length=100, default="")
    attempts = models.PositiveSmallIntegerField(default=1)
    priority = models.CharField(max_length=10, default="normal")
    cost = models.DecimalField(max_digits=20, decimal_places=9, null=True)
    """By the hourly costs of its nodes when it was given to them; ``None`` where one has none."""
    currency = models.CharField(max_length=3, default="")
    """Of the cost (ISO 4217); empty where the installation names none."""
    status = models.PositiveSmallIntegerField(null=True)
    """The HTTP status with which it ended; ``None`` where nobody was left to tell it."""
    metadata = models.JSONField(null=True)
    """What its client wanted noted with it: texts by name, 16 at most; ``None`` where it wanted nothing."""
    cached_tokens = models.PositiveBigIntegerField(null=True)
    """Of the prompt's tokens those that the engine had kept; ``None`` where no engine said."""
    charge = models.DecimalField(max_digits=38, decimal_places=9, null=True)
    """By the tenant's price list as it was when the request was received; ``None`` where no price counted, and nothing was charged."""
    charge_currency = models.CharField(max_length=3, default="", db_default="")
    """Of the charge (ISO 4217); empty where there is none."""
    price = models.UUIDField(null=True)
    """The `ModelPrice` by which it was charged."""
    slot_seconds = models.FloatField(null=True)
    """For how long it had slots of nodes, where its price is by the second, too; else ``None``."""
    prompt_kept = models.BooleanField(db_default=False, default=False)
    """Whether its tenant wanted its prompt kept when it came: a `KeptPrompt` then, until its days are over."""

    shadow_of = models.UUIDField(null=True)
    """The request that it runs again on another version, for a rollout to compare: nobody is shown its answer, and no sum counts it. ``None`` for all others."""
    same_answer = models.BooleanField(null=True)
    """Whether it said the same as that one; ``None`` where that is left to chance, or was not to be known."""

    objects: models.Manager[UsageRecord] = tenant_manager()

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "-received_at", "-request"], name="metering_usage_newest"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(outcome__in=OUTCOMES),
                name="metering_usage_outcome_known",
                violation_error_message="Not an outcome of a request.",
            ),
        ]

    def __str__(self) -> str:
        return self.request.hex


class RequestRoute(models.Model):
    """Why a request ran where it ran: `ollamamax.contract.Route`, its candidates, their scores, the attempts. It is large and
    is asked for soon or never, hence its short life."""

    request = models.UUIDField(primary_key=True)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+", db_index=False)
    route = models.JSONField()

    objects: models.Manager[RequestRoute] = tenant_manager()

    def __str__(self) -> str:
        return self.request.hex


class KeptPrompt(models.Model):
    """What was asked, by its tenant's policy: `ollamamax.contract.prompts.Prompt`, sealed by a gateway to the tenant's public key.

    ``made_by`` is the user who made its key, and ``user`` is whom it names as its end user: whose it is, for who is to be erased.
    """

    request = models.UUIDField(primary_key=True)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+", db_index=False)
    key = models.UUIDField()
    made_by = models.UUIDField(null=True)
    user = models.CharField(max_length=256, default="")
    received_at = models.DateTimeField()
    sealed = models.BinaryField()

    objects: models.Manager[KeptPrompt] = tenant_manager()

    class Meta:
        indexes = [models.Index(fields=["tenant", "received_at"], name="metering_prompt_oldest")]

    def __str__(self) -> str:
        return self.request.hex


class UsageSum(models.Model):
    """What the records of one hour or one day (``period``, of UTC) from ``start`` on sum up to: of ``all`` of a tenant, or
    ``by`` one model, user, key or node, its ``subject``: a name, or an id as text; empty for all, and for what has none. Of each
    day also by a user, a key or a node together with a ``model`` (``key+model``), which is empty in all other rows.

    ``requests`` are those that a node was given; ``failed`` ones are among them, ``refused`` ones are not. ``cost`` is of the
    ``priced`` records and ``charge`` of the ``charged`` ones, both in one currency: other currencies have rows of their own.
    """

    pk = models.CompositePrimaryKey("by", "period", "tenant_id", "start", "subject", "model", "currency")
    by = models.CharField(max_length=16)
    period = models.CharField(max_length=4)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+", db_index=False)
    start = models.DateTimeField()
    subject = models.CharField(max_length=400)
    model = models.CharField(max_length=400, default="")
    currency = models.CharField(max_length=3)
    requests = models.BigIntegerField()
    refused = models.BigIntegerField()
    failed = models.BigIntegerField()
    prompt_tokens = models.DecimalField(max_digits=38, decimal_places=0)
    completion_tokens = models.DecimalField(max_digits=38, decimal_places=0)
    cached_tokens = models.DecimalField(max_digits=38, decimal_places=0, default=0, db_default=0)
    """Of the prompts' tokens those of which engines said that they had kept them."""
    priced = models.BigIntegerField()
    cost = models.DecimalField(max_digits=38, decimal_places=9)
    charged = models.BigIntegerField(db_default=0, default=0)
    charge = models.DecimalField(max_digits=38, decimal_places=9, db_default=0, default=0)

    objects: models.Manager[UsageSum] = tenant_manager()

    def __str__(self) -> str:
        return f"{self.by} {self.subject} {self.start:%Y-%m-%d %H}"


class Budget(models.Model):
    """How much of ``unit`` may be spent in each ``period`` of UTC, by the tenant, or by one team, user or key of it (``subject``).

    A ``hard`` one refuses a request that might go beyond; at ``warn_percent`` of any one it is told.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    whose = models.CharField(max_length=8)
    subject = models.UUIDField(null=True)
    unit = models.CharField(max_length=20)
    period = models.CharField(max_length=8)
    most = models.DecimalField(max_digits=20, decimal_places=6)
    hard = models.BooleanField(default=True)
    warn_percent = models.PositiveSmallIntegerField(default=80)
    created_by_name = models.CharField(max_length=254, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    told = models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict)
    """What was told of it last (``warned``, ``spent``, ``refused``), each with the first day of its window, in days since 1970."""

    objects: models.Manager[Budget] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "whose", "subject", "unit", "period"],
                nulls_distinct=False,
                name="metering_budget_unique",
                violation_error_message="There is such a budget already.",
            ),
            models.CheckConstraint(
                condition=models.Q(unit__in=UNITS) & models.Q(period__in=BUDGET_PERIODS) & models.Q(whose__in=WHOSE),
                name="metering_budget_kind_known",
                violation_error_message="Not a kind of budget.",
            ),
            models.CheckConstraint(
                condition=models.Q(whose="tenant", subject=None)
                | (~models.Q(whose="tenant") & ~models.Q(subject=None)),
                name="metering_budget_subject",
                violation_error_message="A budget is the tenant's, or one team's, user's or key's.",
            ),
            models.CheckConstraint(
                condition=models.Q(most__gt=0) & models.Q(warn_percent__gte=1, warn_percent__lte=100),
                name="metering_budget_bounds",
                violation_error_message="A budget is more than nothing, and is warned of at 1 to 100 percent.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.most} {self.unit} a {self.period} of the {self.whose}"


class ModelPrice(models.Model):
    """What a model costs a tenant from ``valid_from`` on, until a newer price of it; ``model`` is empty for all that have none of
    their own. Prices are added and never changed: what was used before keeps the price that it had."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    model = models.CharField(max_length=400, blank=True, default="")
    prompt_million = models.DecimalField(max_digits=20, decimal_places=9, default=0)
    completion_million = models.DecimalField(max_digits=20, decimal_places=9, default=0)
    second = models.DecimalField(max_digits=20, decimal_places=9, default=0)
    cached_million = models.DecimalField(max_digits=20, decimal_places=9, null=True)
    """Of tokens of prompts that the engine had kept; ``None`` for as much as all others."""
    currency = models.CharField(max_length=3)
    created_by_name = models.CharField(max_length=254, default="")
    valid_from = models.DateTimeField(auto_now_add=True)

    objects: models.Manager[ModelPrice] = tenant_manager()

    class Meta:
        indexes = [models.Index(fields=["tenant", "model", "-valid_from"], name="metering_price_newest")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(prompt_million__gte=0, completion_million__gte=0, second__gte=0),
                name="metering_price_bounds",
                violation_error_message="A price is not less than nothing.",
            ),
            models.CheckConstraint(
                condition=models.Q(cached_million=None)
                | models.Q(cached_million__gte=0, cached_million__lte=models.F("prompt_million")),
                name="metering_price_cached_at_most_prompt",
                violation_error_message="A cached token of a prompt costs from nothing to what any other one costs.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model or '*'} from {self.valid_from:%Y-%m-%d}"
