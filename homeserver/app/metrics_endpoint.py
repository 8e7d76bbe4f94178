"""Prometheus metrics, on a listener of their own."""

from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response
from homeserver.runtime.metrics import METRICS_CONTENT_TYPE, Metrics

__all__ = ["MetricsEndpoints"]

_PAGE = "https://prometheus.io/docs/instrumenting/exposition_formats/"


class MetricsEndpoints:
    """`GET /metrics`."""

    def __init__(self, *, metrics: Metrics) -> None:
        self._metrics = metrics

    @endpoint("GET", "/metrics", authentication=Authentication.NONE, rate_limit=RateLimit.NONE, spec=_PAGE)
    async def metrics(self, request: Request) -> Response:
        """Write every metric in the text format."""
        del request
        return Response(body=self._metrics.exposition(), content_type=METRICS_CONTENT_TYPE)
