"""The bound on inboxes: counted once, kept current from the bus, counted again when it is reached."""

from homeserver.core.changes import ToDeviceChange
from homeserver.e2ee import inbox_sizes
from homeserver.e2ee.inbox_sizes import RECOUNT_MS_MIN, InboxSizes

PHONE, LAPTOP = ("@alice:localhost", "PHONE"), ("@alice:localhost", "LAPTOP")


class MovableClock:
    def __init__(self):
        self.ms = 0

    def monotonic_ms(self):
        return self.ms


class Counted:
    """The question how much waits, answered from a dict; counts the questions."""

    def __init__(self):
        self.sizes = {}
        self.asked = []
        self.meanwhile = None

    async def fetch(self, statement, user_ids, device_ids, messages_max):
        devices = list(zip(user_ids, device_ids, strict=True))
        self.asked.append(devices)
        answer = [(*device, *self.sizes[device]) for device in devices if device in self.sizes]
        if self.meanwhile is not None:
            self.meanwhile()
        return answer


def sent(*devices, size_bytes=10):
    return ToDeviceChange(1, tuple((*device, b"x" * size_bytes) for device in devices))


async def test_each_inbox_is_counted_once_and_then_followed():
    stored = Counted()
    stored.sizes[PHONE] = (2, 20)
    sizes = InboxSizes(stored, MovableClock(), messages_max=4)
    for _ in range(2):
        assert await sizes.full_among([PHONE, LAPTOP]) == set()
    sizes.take_in([sent(PHONE, LAPTOP)])
    assert await sizes.full_among([PHONE, LAPTOP]) == set()
    sizes.take_in([sent(PHONE)])

    assert await sizes.full_among([PHONE, LAPTOP]) == {PHONE}
    assert stored.asked == [[PHONE, LAPTOP]]


async def test_bytes_have_a_bound_too():
    sizes = InboxSizes(Counted(), MovableClock(), messages_max=1_000, bytes_max=100)
    await sizes.full_among([PHONE])
    sizes.take_in([sent(PHONE, size_bytes=99)])
    assert await sizes.full_among([PHONE]) == set()
    sizes.take_in([sent(PHONE, size_bytes=1)])
    assert await sizes.full_among([PHONE]) == {PHONE}


async def test_a_full_inbox_is_counted_again_after_a_while_and_no_sooner():
    stored, clock = Counted(), MovableClock()
    stored.sizes[PHONE] = (4, 40)
    sizes = InboxSizes(stored, clock, messages_max=4)
    assert await sizes.full_among([PHONE]) == {PHONE}
    stored.sizes[PHONE] = (1, 10)  # the device came and fetched
    clock.ms += RECOUNT_MS_MIN - 1
    assert await sizes.full_among([PHONE]) == {PHONE}
    clock.ms += 1

    assert await sizes.full_among([PHONE]) == set()
    assert len(stored.asked) == 2


async def test_what_is_sent_while_it_is_counted_is_not_missed():
    stored = Counted()
    sizes = InboxSizes(stored, MovableClock(), messages_max=1)
    stored.meanwhile = lambda: sizes.take_in([sent(PHONE)])

    assert await sizes.full_among([PHONE]) == {PHONE}


async def test_what_it_remembers_has_a_bound(monkeypatch):
    monkeypatch.setattr(inbox_sizes, "INBOXES_MAX", 2)
    stored = Counted()
    sizes = InboxSizes(stored, MovableClock(), messages_max=4)
    for number in range(4):
        await sizes.full_among([("@alice:localhost", f"D{number}")])
    await sizes.full_among([("@alice:localhost", "D3")])
    await sizes.full_among([("@alice:localhost", "D0")])

    assert len(stored.asked) == 5
