"""Many changes of one kind of thing in one request: each succeeds or fails by itself, as it would alone."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request, clone_request
from rest_framework.response import Response

from ollamamax import logs
from ollamamax.identity.api import problems
from ollamamax.identity.api.base import SIGNED_IN, Declared, View
from ollamamax.identity.api.recent import require_recent

MOST = 100
_log = logs.get(__name__)


class BulkItemSerializer(serializers.Serializer[Any]):
    """``body`` is what the method takes of one; ``if_match`` the ETag it was read with."""

    id = serializers.UUIDField()
    method = serializers.ChoiceField(choices=["PATCH", "DELETE"])
    body = serializers.DictField(required=False)
    if_match = serializers.CharField(required=False, max_length=200)


class BulkSerializer(serializers.Serializer[Any]):
    items = serializers.ListField(child=BulkItemSerializer(), allow_empty=False, max_length=MOST)


class BulkResultSerializer(serializers.Serializer[Any]):
    """``status`` and ``body`` are those that the item would have been answered alone, a problem where it failed."""

    id = serializers.UUIDField()
    status = serializers.IntegerField()
    body = serializers.DictField(allow_null=True)


class BulkResultsSerializer(serializers.Serializer[Any]):
    results = BulkResultSerializer(many=True)


def bulk_of(one: type[View], argument: str, noun: str) -> type[View]:
    """A view that takes changes of many such things; ``argument`` is the name of the id in the address of one."""

    class BulkView(View):
        # Each item asks for the permission of its own method.
        permissions = {"POST": SIGNED_IN}
        creates = True
        serializer_class = BulkResultsSerializer

        @extend_schema(operation_id=f"{noun}_bulk", request=BulkSerializer, responses=BulkResultsSerializer)
        def post(self, request: Request) -> Response:
            """Change or delete many, each by itself and in this order; the answer says of each how it went."""
            given = BulkSerializer(data=request.data)
            given.is_valid(raise_exception=True)
            route = f"{self.route.removesuffix('bulk')}<uuid:{argument}>"
            for method in {item["method"] for item in given.validated_data["items"]}:
                # Asked once, before any of them.
                require_recent(request, method, route)
            results = [_changed(self, request, one, argument, item) for item in given.validated_data["items"]]
            return Response({"results": results})

    BulkView.__name__ = BulkView.__qualname__ = f"Bulk{one.__name__}"
    return BulkView


def _changed(bulk: View, request: Request, one: type[View], argument: str, item: dict[str, Any]) -> dict[str, Any]:
    method = item["method"]
    single = cast(Any, clone_request(request, method))
    single._full_data = item.get("body", {})
    single.omx_if_match = item.get("if_match")
    view: Any = one()
    view.request, view.principal, view.format_kwarg = single, bulk.principal, None
    view.args, view.kwargs = (), {argument: item["id"]}
    try:
        Declared().has_permission(single, view)
        response = getattr(view, method.lower())(single, **view.kwargs)
    except Exception as error:  # noqa: BLE001 - of one item: what is our own fault is logged, and the others go on
        found = problems.handle(error, {})
        if found is None:
            _log.exception("bulk_item_broke", method=method, view=one.__name__)
            found = Response(
                problems.body(500, "internal_error", "Something went wrong here. The log has the details."), 500
            )
        response = found
    return {"id": str(item["id"]), "status": response.status_code, "body": response.data}
