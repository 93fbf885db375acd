"""The past of the caller's tenant, its nodes, their cards, and its models, for charts."""

from __future__ import annotations

import datetime
import time
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.queries.history import MOST_SERIES, STEPS, finest_step, history
from ollamamax.identity.api.base import View


class HistoryFilters(serializers.Serializer[Any]):
    series = serializers.ListField(
        child=serializers.CharField(max_length=450),
        min_length=1,
        max_length=MOST_SERIES,
        help_text="`tenant`, `node:<id>`, `gpu:<node id>/<index>` or `model:<name>`; several: `series=...&series=...`",
    )
    since = serializers.DateTimeField(required=False, help_text="an hour ago, when left out")
    until = serializers.DateTimeField(required=False, help_text="now, when left out")
    step = serializers.ChoiceField(
        STEPS,
        required=False,
        help_text="seconds; when left out, the shortest with at most 300 points of which there is data",
    )


class HistorySeriesSerializer(serializers.Serializer[Any]):
    """Gauges, such as ``running``, are means over a step; ``requests``, ``failed`` and tokens are sums. Null: nothing was measured."""

    series = serializers.CharField()
    at = serializers.ListField(child=serializers.IntegerField(), help_text="the beginning of each step, Unix seconds")
    values = serializers.DictField(child=serializers.ListField(child=serializers.FloatField(allow_null=True)))
    failures = serializers.DictField(
        source="errors",
        child=serializers.ListField(child=serializers.FloatField(allow_null=True)),
        help_text="failed requests by the error's code",
    )


class HistorySerializer(serializers.Serializer[Any]):
    step = serializers.IntegerField()
    series = HistorySeriesSerializer(many=True)


class HistoryView(View):
    permissions = {"GET": "node.view"}
    of_objects = True
    serializer_class = HistorySerializer
    pagination_class = None

    @extend_schema(operation_id="history_retrieve", parameters=[HistoryFilters], responses=HistorySerializer)
    def get(self, request: Request) -> Response:
        """Series of numbers over time: ten seconds apart for a day, a minute for a week, an hour for a year."""
        form = HistoryFilters(data=request.query_params)
        form.is_valid(raise_exception=True)
        asked = form.validated_data
        now = time.time()
        until = asked.get("until") or datetime.datetime.fromtimestamp(now, datetime.UTC)
        since = asked.get("since") or until - datetime.timedelta(hours=1)
        step = asked.get("step") or finest_step(since, until, now)
        found = history(self.acting, asked["series"], since=since, until=until, step=step, now=now)
        return Response(HistorySerializer({"step": step, "series": found}).data)
