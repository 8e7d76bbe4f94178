import inspect

import orjson
import pytest

from homeserver.core import errors
from homeserver.http.errors import STATUS, error_response, status_of

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.MatrixError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_status(kind):
    assert kind in STATUS


def test_a_derived_error_takes_the_status_of_its_base():
    class Expired(errors.UnknownToken):
        pass

    assert status_of(Expired("It expired.")) == 401


def test_waiting_is_told_in_whole_seconds_too():
    response = error_response(errors.LimitExceeded("Wait.", retry_after_ms=1500))

    assert response.headers == {"Retry-After": "2"}
    assert orjson.loads(response.body)["retry_after_ms"] == 1500
