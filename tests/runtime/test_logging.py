import io
import logging

import orjson
import pytest

from homeserver.runtime.logging import LogReader, make_log, route_foreign_logs
from homeserver.runtime.observation import (
    LeaseLost,
    Level,
    RequestFailed,
    RequestFinished,
    TaskFailed,
    all_of,
    current_request_id,
)

REQUEST = RequestFinished("GET", "/a/{b}", "/a/1", 200, 1.5, "r1", "@a:localhost", "192.0.2.1")


def failure():
    try:
        int("broken")
    except ValueError as error:
        return TaskFailed(error=error, name="sweep")


@pytest.fixture
def stream():
    return io.StringIO()


def test_an_observation_is_a_line_of_json_with_its_facts(stream):
    LogReader(make_log(level="info", format="json", stream=stream)).observe(LeaseLost(3))

    line = orjson.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "lease lost", "level": "error", "writer_id": 3}


def test_a_failure_shows_its_traceback(stream):
    LogReader(make_log(level="info", format="text", stream=stream)).observe(failure())

    assert "task failed" in stream.getvalue()
    assert "ValueError: invalid literal" in stream.getvalue()
    assert "name=sweep" in stream.getvalue()


def test_a_failure_in_json_is_one_line(stream):
    LogReader(make_log(level="info", format="json", stream=stream)).observe(failure())

    line = orjson.loads(stream.getvalue())
    assert line["exception"][0]["exc_type"] == "ValueError"


def test_a_line_names_the_request_that_it_is_about(stream):
    log = make_log(level="info", format="json", stream=stream)
    reset = current_request_id.set("r7")
    LogReader(log).observe(LeaseLost(3))
    current_request_id.reset(reset)
    LogReader(log).observe(RequestFailed(error=KeyError("a"), method="GET", path="/", request_id="r8"))

    assert [orjson.loads(line)["request_id"] for line in stream.getvalue().splitlines()] == ["r7", "r8"]


def test_what_is_below_the_level_is_not_written(stream):
    LogReader(make_log(level="warning", format="text", stream=stream)).observe(REQUEST)

    assert stream.getvalue() == ""


def test_the_access_log_has_a_level_of_its_own(stream):
    log = make_log(level="info", format="json", stream=stream)
    LogReader(log, requests_level=Level.INFO).observe(REQUEST)

    assert orjson.loads(stream.getvalue())["endpoint"] == "/a/{b}"


def test_what_libraries_warn_of_is_written(stream):
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    route_foreign_logs(make_log(level="info", format="json", stream=stream))
    logging.getLogger("library").warning("beware of %s", "dogs")
    logging.getLogger("library").info("all is well")
    root.handlers, _ = before, root.setLevel(level)

    line = orjson.loads(stream.getvalue())
    assert (line["event"], line["logger"]) == ("beware of dogs", "library")


def test_every_reader_is_told():
    first, second = [], []
    all_of(first.append, second.append)(REQUEST)

    assert first == second == [REQUEST]
