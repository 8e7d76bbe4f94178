"""The reader of observations that counts, and the text that Prometheus asks for.

What happens with every request must be cheap: it is counted in plain lists, and only a scrape makes metrics
of them.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from homeserver.runtime.observation import (
    Committed,
    EventsForgotten,
    EventsMoved,
    Observation,
    RateLimited,
    RequestFinished,
)

__all__ = ["METRICS_CONTENT_TYPE", "Metrics"]

METRICS_CONTENT_TYPE = CONTENT_TYPE_LATEST

REQUEST_MS_BOUNDS = (1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 10_000.0, 60_000.0)


class _Requests(Collector):
    """Requests by method and endpoint: how many with which status, and how long they took."""

    def __init__(self) -> None:
        self._statuses: dict[tuple[str, str, int], int] = {}
        self._durations: dict[tuple[str, str], list[float]] = {}

    def count(self, request: RequestFinished) -> None:
        """Count one request. Methods are the endpoints' own, except where none was found."""
        method = request.method if request.endpoint != "unrecognized" else "any"
        status = (method, request.endpoint, request.status)
        self._statuses[status] = self._statuses.get(status, 0) + 1
        durations = self._durations.get((method, request.endpoint))
        if durations is None:
            # A count for each bucket and for what is longer than all of them; last, the sum.
            durations = [0.0] * (len(REQUEST_MS_BOUNDS) + 2)
            self._durations[method, request.endpoint] = durations
        durations[bisect_left(REQUEST_MS_BOUNDS, request.duration_ms)] += 1
        durations[-1] += request.duration_ms

    def collect(self) -> Iterator[Metric]:
        """Make metrics of the counts."""
        labels = ["method", "endpoint"]
        counts = CounterMetricFamily(
            "isthmus_http_requests", "Requests answered.", labels=[*labels, "status"]
        )
        for (method, endpoint, status), requests in self._statuses.items():
            counts.add_metric([method, endpoint, str(status)], requests)
        yield counts
        times = HistogramMetricFamily(
            "isthmus_http_request_duration_seconds", "From routing to the encoded response.", labels=labels
        )
        for key, durations in self._durations.items():
            total, buckets = 0.0, []
            for bound_ms, count in zip((*REQUEST_MS_BOUNDS, None), durations[:-1], strict=True):
                total += count
                buckets.append(("+Inf" if bound_ms is None else str(bound_ms / 1000), total))
            times.add_metric(list(key), buckets, sum_value=durations[-1] / 1000)
        yield times


class _Gauge(Collector):
    """A number that is looked up when it is asked for."""

    def __init__(self, name: str, description: str, read: Callable[[], float]) -> None:
        self._name, self._description, self._read = name, description, read

    def collect(self) -> Iterator[Metric]:
        """Look the number up."""
        yield GaugeMetricFamily(self._name, self._description, value=self._read())


class Metrics:
    """The metrics of this process, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = _Requests()
        self._registry.register(self._requests)
        ProcessCollector(registry=self._registry)
        self._observations = Counter(
            "isthmus_observations", "Observations by kind.", ["kind", "level"], registry=self._registry
        )
        self._rate_limited = Counter(
            "isthmus_rate_limited", "Requests refused by a rate limit.", ["bucket"], registry=self._registry
        )
        self._commits = Histogram(
            "isthmus_commit_duration_seconds",
            "How long a flush of the journal took.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
            registry=self._registry,
        )
        self._committed_writes = Counter(
            "isthmus_committed_writes", "Writes that the journal committed.", registry=self._registry
        )

        self._events_moved = Counter(
            "isthmus_retention_events_moved",
            "Events that moved into another retention class.",
            registry=self._registry,
        )
        self._events_forgotten = Counter(
            "isthmus_retention_events_forgotten",
            "Events that went since they were over their lifetime.",
            registry=self._registry,
        )

    def observe(self, observation: Observation) -> None:
        """Count an observation."""
        if type(observation) is RequestFinished:
            self._requests.count(observation)
        elif type(observation) is Committed:
            self._commits.observe(observation.duration_ms / 1000)
            self._committed_writes.inc(observation.writes)
        else:
            if type(observation) is RateLimited:
                self._rate_limited.labels(observation.bucket).inc()
            elif type(observation) is EventsForgotten:
                self._events_forgotten.inc(observation.events)
            elif type(observation) is EventsMoved:
                self._events_moved.inc(observation.events)
                self._events_forgotten.inc(observation.forgotten)
            self._observations.labels(type(observation).__name__, observation.level.value).inc()

    def gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Show a number under `name`; `read` is called at each scrape."""
        self._registry.register(_Gauge(name, description, read))

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes; its type is `METRICS_CONTENT_TYPE`."""
        return generate_latest(self._registry)
