"""What a person waits for is asked of a server that did not answer lately, too."""

from federation.client.availability import AskedAnyway
from homeserver.core.errors import Unavailable


class Troubled:
    """Leaves every server alone."""

    def __init__(self):
        self.told = []

    def check(self, destination):
        raise Unavailable(f"{destination} did not answer lately.")

    def succeeded(self, destination):
        self.told.append(("succeeded", destination))

    def failed(self, destination):
        self.told.append(("failed", destination))


def test_who_did_not_answer_is_asked_anyway_and_what_came_of_it_is_told():
    troubled = Troubled()
    availability = AskedAnyway(troubled)

    availability.check("b.example")
    availability.failed("b.example")
    availability.succeeded("b.example")

    assert troubled.told == [("failed", "b.example"), ("succeeded", "b.example")]
