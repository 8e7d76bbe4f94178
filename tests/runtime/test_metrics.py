from prometheus_client.parser import text_string_to_metric_families

from homeserver.runtime.metrics import Metrics
from homeserver.runtime.observation import (
    Committed,
    EventsForgotten,
    EventsMoved,
    LeaseLost,
    RateLimited,
    RequestFinished,
)


def samples_of(metrics):
    text = metrics.exposition().decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def request(status, duration_ms, endpoint="/a/{b}", method="GET"):
    return RequestFinished(method, endpoint, "/a/1", status, duration_ms, "r1", "", "192.0.2.1")


def test_requests_are_counted_by_endpoint_and_status_with_their_times():
    metrics = Metrics()
    for observation in (request(200, 2.0), request(200, 30.0), request(404, 120_000.0)):
        metrics.observe(observation)

    samples = samples_of(metrics)
    endpoint = (("endpoint", "/a/{b}"),)
    assert samples["isthmus_http_requests_total", *endpoint, ("method", "GET"), ("status", "200")] == 2
    assert samples["isthmus_http_requests_total", *endpoint, ("method", "GET"), ("status", "404")] == 1
    name = "isthmus_http_request_duration_seconds"
    assert samples[f"{name}_bucket", *endpoint, ("le", "0.0025"), ("method", "GET")] == 1
    assert samples[f"{name}_bucket", *endpoint, ("le", "0.05"), ("method", "GET")] == 2
    assert samples[f"{name}_bucket", *endpoint, ("le", "+Inf"), ("method", "GET")] == 3
    assert samples[f"{name}_count", *endpoint, ("method", "GET")] == 3
    assert samples[f"{name}_sum", *endpoint, ("method", "GET")] == 120.032


def test_made_up_methods_do_not_become_labels():
    metrics = Metrics()
    for number in range(50):
        metrics.observe(request(404, 1.0, "unrecognized", f"METHOD{number}"))

    samples = samples_of(metrics)
    labels = (("endpoint", "unrecognized"), ("method", "any"), ("status", "404"))
    assert samples["isthmus_http_requests_total", *labels] == 50


def test_commits_rate_limits_and_all_else_are_counted():
    metrics = Metrics()
    for observation in (Committed(5, 20, 3.0), RateLimited("login", "192.0.2.1"), LeaseLost(1)):
        metrics.observe(observation)

    samples = samples_of(metrics)
    assert samples["isthmus_committed_writes_total",] == 5
    assert samples["isthmus_commit_duration_seconds_count",] == 1
    assert samples["isthmus_rate_limited_total", ("bucket", "login")] == 1
    assert samples["isthmus_observations_total", ("kind", "LeaseLost"), ("level", "error")] == 1


def test_what_retention_did_is_counted_in_events():
    metrics = Metrics()
    for observation in (EventsForgotten(1, 5), EventsMoved("!room:example.org", 7, 2)):
        metrics.observe(observation)

    samples = samples_of(metrics)
    assert samples["isthmus_retention_events_forgotten_total",] == 7
    assert samples["isthmus_retention_events_moved_total",] == 7


def test_a_gauge_is_read_at_each_scrape():
    metrics = Metrics()
    numbers = iter((1.0, 2.0))
    metrics.gauge("isthmus_rooms", "Rooms in memory.", lambda: next(numbers))

    assert samples_of(metrics)["isthmus_rooms",] == 1
    assert samples_of(metrics)["isthmus_rooms",] == 2
