"""Budgets of the caller's tenant, how much of them is spent, and the prices by which money is counted."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.contract.budgets import PERIODS, UNITS, WHOSE
from ollamamax.identity.api.base import View
from ollamamax.identity.api.serializers import ChangeSerializer
from ollamamax.metering.actions.budget import change_budget, create_budget, delete_budget, set_price
from ollamamax.metering.actions.spending import Spent, spent
from ollamamax.metering.models import Budget, ModelPrice
from ollamamax.metering.queries import budgets, get_budget, names_of_subjects, prices


class BudgetSerializer(serializers.ModelSerializer[Budget]):
    """How much may be spent in each day, week or month of UTC. What is spent is null where Redis cannot be asked."""

    whose = serializers.ChoiceField(choices=WHOSE)
    name = serializers.SerializerMethodField(help_text="Of the team, user or key; empty for the tenant.")
    unit = serializers.ChoiceField(choices=UNITS)
    period = serializers.ChoiceField(choices=PERIODS)
    most = serializers.FloatField()
    used = serializers.SerializerMethodField()
    reserved = serializers.SerializerMethodField(
        help_text="By requests that are under way, each for the most it may use."
    )
    resets_in = serializers.SerializerMethodField(help_text="Seconds until the next day, week or month begins.")

    class Meta:
        model = Budget
        fields = [
            *("id", "whose", "subject", "name", "unit", "period", "most", "hard", "warn_percent", "used", "reserved"),
            *("resets_in", "created_by_name", "created_at", "changed_at"),
        ]
        read_only_fields = fields

    def _spent(self, budget: Budget) -> Spent | None:
        found: Mapping[uuid.UUID, Spent] = self.context["spent"]
        return found.get(budget.id)

    def get_name(self, budget: Budget) -> str:
        return str(self.context["names"].get(budget.subject, ""))

    def get_used(self, budget: Budget) -> float | None:
        found = self._spent(budget)
        return None if found is None else round(found.used, 6)

    def get_reserved(self, budget: Budget) -> float | None:
        found = self._spent(budget)
        return None if found is None else round(max(0.0, found.reserved), 6)

    def get_resets_in(self, budget: Budget) -> float | None:
        found = self._spent(budget)
        return None if found is None else round(found.seconds, 3)


def _warn() -> serializers.IntegerField:
    return serializers.IntegerField(
        min_value=1, max_value=100, required=False, help_text="Told of at this share, in percent."
    )


class BudgetCreateSerializer(serializers.Serializer[Any]):
    whose = serializers.ChoiceField(choices=WHOSE)
    subject = serializers.UUIDField(
        required=False, allow_null=True, help_text="The id of a team, user or key; none for the tenant's budget."
    )
    unit = serializers.ChoiceField(choices=UNITS)
    period = serializers.ChoiceField(choices=PERIODS)
    most = serializers.DecimalField(max_digits=20, decimal_places=6, min_value=0, max_value=10**13)
    hard = serializers.BooleanField(required=False, help_text="Whether a request that might go beyond is refused.")
    warn_percent = _warn()

    def validate_most(self, value: Any) -> Any:
        if value <= 0:
            raise serializers.ValidationError("A budget is more than nothing.")
        return value


class BudgetChangeSerializer(ChangeSerializer):
    most = serializers.DecimalField(max_digits=20, decimal_places=6, min_value=0, max_value=10**13, required=False)
    hard = serializers.BooleanField(required=False)
    warn_percent = _warn()

    def validate_most(self, value: Any) -> Any:
        if value <= 0:
            raise serializers.ValidationError("A budget is more than nothing.")
        return value


class BudgetFilters(serializers.Serializer[Any]):
    whose = serializers.ChoiceField(choices=WHOSE, required=False)
    subject = serializers.UUIDField(required=False)


class ModelPriceSerializer(serializers.ModelSerializer[ModelPrice]):
    """For a million tokens and for a second of a slot, from a time on until the next price of the same model."""

    prompt_million = serializers.FloatField()
    completion_million = serializers.FloatField()
    second = serializers.FloatField()
    cached_million = serializers.FloatField(
        allow_null=True, help_text="For a million cached tokens of prompts; null: as much as for all others."
    )

    class Meta:
        model = ModelPrice
        exclude = ["tenant"]
        read_only_fields = [
            *(
                "id",
                "model",
                "prompt_million",
                "completion_million",
                "second",
                "cached_million",
                "currency",
                "created_by_name",
                "valid_from",
            )
        ]


def _price(**given: Any) -> serializers.DecimalField:
    return serializers.DecimalField(
        max_digits=20, decimal_places=9, min_value=0, max_value=10**9, default=Decimal(0), **given
    )


class ModelPriceCreateSerializer(serializers.Serializer[Any]):
    model = serializers.CharField(
        max_length=400,
        allow_blank=True,
        default="",
        help_text="Its full name; empty for all that have no price of their own.",
    )
    prompt_million = _price(help_text="For a million tokens of prompts.")
    completion_million = _price(help_text="For a million tokens of answers.")
    second = _price(help_text="For a second of a slot of a node.")
    cached_million = serializers.DecimalField(
        max_digits=20,
        decimal_places=9,
        min_value=0,
        max_value=10**9,
        required=False,
        allow_null=True,
        help_text="For a million tokens of prompts that the engine had kept from before: at most `prompt_million`, "
        "and as much where it is null or left out.",
    )
    currency = serializers.RegexField(r"^[A-Z]{3}$", help_text="ISO 4217.")


def shown(rows: Any) -> dict[str, Any]:
    """What `BudgetSerializer` needs besides the rows. Queries: up to 3; and one call of Redis."""
    some = list(rows)
    return {"spent": spent(some), "names": names_of_subjects(some)}


class BudgetListView(View):
    permissions = {"GET": "usage.view", "POST": "budget.manage"}
    serializer_class = BudgetSerializer
    filters = BudgetFilters
    orderings = {"created_at": "created_at"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return budgets()

    @extend_schema(operation_id="budgets_list", responses=BudgetSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's budgets and how much of each is spent, the newest first."""
        return self.listing(self.get_queryset(), BudgetSerializer, shown)

    @extend_schema(operation_id="budgets_create", request=BudgetCreateSerializer, responses={201: BudgetSerializer})
    def post(self, request: Request) -> Response:
        """Set a budget for the tenant, or for one of its teams, users or keys. It counts within a second."""
        given = BudgetCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = create_budget(acting=self.acting, **given.validated_data)
        return Response(BudgetSerializer(made, context=shown([made])).data, status=201)


class BudgetView(View):
    permissions = {"GET": "usage.view", "PATCH": "budget.manage", "DELETE": "budget.manage"}
    serializer_class = BudgetSerializer
    etagged = True
    volatile = frozenset({"used", "reserved", "resets_in"})

    @extend_schema(operation_id="budgets_retrieve", responses=BudgetSerializer)
    def get(self, request: Request, budget_id: uuid.UUID) -> Response:
        """One budget."""
        found = get_budget(budget_id)
        return Response(BudgetSerializer(found, context=shown([found])).data)

    @extend_schema(operation_id="budgets_update", request=BudgetChangeSerializer, responses=BudgetSerializer)
    def patch(self, request: Request, budget_id: uuid.UUID) -> Response:
        """Change how much it is, whether it is hard, or when it is told of. What is spent stays."""
        given = BudgetChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        changed = change_budget(acting=self.acting, budget_id=budget_id, **given.validated_data)
        return Response(BudgetSerializer(changed, context=shown([changed])).data)

    @extend_schema(operation_id="budgets_destroy", responses={204: None})
    def delete(self, request: Request, budget_id: uuid.UUID) -> Response:
        """Delete a budget. What is under way goes on."""
        delete_budget(acting=self.acting, budget_id=budget_id)
        return Response(status=204)


class ModelPriceFilters(serializers.Serializer[Any]):
    model = serializers.CharField(required=False, max_length=400)


class ModelPriceListView(View):
    permissions = {"GET": "usage.view", "POST": "budget.manage"}
    serializer_class = ModelPriceSerializer
    filters = ModelPriceFilters
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return prices()

    @extend_schema(operation_id="prices_list", responses=ModelPriceSerializer(many=True))
    def get(self, request: Request) -> Response:
        """All prices that there are and were, the newest first."""
        return self.listing(self.get_queryset(), ModelPriceSerializer)

    @extend_schema(
        operation_id="prices_create", request=ModelPriceCreateSerializer, responses={201: ModelPriceSerializer}
    )
    def post(self, request: Request) -> Response:
        """Set what a model costs from now on. What began before keeps the price that it had."""
        given = ModelPriceCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(ModelPriceSerializer(set_price(acting=self.acting, **given.validated_data)).data, status=201)
