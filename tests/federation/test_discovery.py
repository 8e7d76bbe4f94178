import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.discovery import NeedDelegation, NeedServices, Service, by_priority, discover
from federation.places import Place, split_server_name
from homeserver.core.identifiers import is_valid_server_name


def found(name, delegations=None, services=None):
    """Where a server is found, and what was looked at on the way."""
    asked = []
    steps = discover(name)
    try:
        need = next(steps)
        while True:
            asked.append(need)
            if isinstance(need, NeedDelegation):
                need = steps.send((delegations or {}).get(need.host))
            else:
                need = steps.send((services or {}).get(need.name, ()))
    except StopIteration as done:
        return done.value, asked


SRV = (Service(10, 5, "matrix.elsewhere.example", 443), Service(20, 5, "backup.elsewhere.example", 8449))
HOSTS = (("matrix.elsewhere.example", 443), ("backup.elsewhere.example", 8449))
WELL_KNOWN, FED, OLD = NeedDelegation, "_matrix-fed._tcp.", "_matrix._tcp."


@pytest.mark.parametrize(
    ("name", "host_header", "tls_name", "hosts"),
    [
        # Step 1.
        ("1.2.3.4", "1.2.3.4", "1.2.3.4", (("1.2.3.4", 8448),)),
        ("1.2.3.4:443", "1.2.3.4:443", "1.2.3.4", (("1.2.3.4", 443),)),
        ("[2001:db8::1]", "[2001:db8::1]", "2001:db8::1", (("2001:db8::1", 8448),)),
        ("[2001:db8::1]:443", "[2001:db8::1]:443", "2001:db8::1", (("2001:db8::1", 443),)),
        # Step 2.
        ("a.example:443", "a.example:443", "a.example", (("a.example", 443),)),
        ("a.example:8448", "a.example:8448", "a.example", (("a.example", 8448),)),
    ],
)
def test_a_name_that_says_all_is_asked_for_nothing(name, host_header, tls_name, hosts):
    assert found(name) == (Place(host_header, tls_name, hosts), [])


@pytest.mark.parametrize(
    ("delegated", "host_header", "tls_name", "hosts"),
    [
        # Step 3.1.
        ("1.2.3.4", "1.2.3.4", "1.2.3.4", (("1.2.3.4", 8448),)),
        ("[2001:db8::1]:443", "[2001:db8::1]:443", "2001:db8::1", (("2001:db8::1", 443),)),
        # Step 3.2.
        ("b.example:443", "b.example:443", "b.example", (("b.example", 443),)),
    ],
)
def test_a_delegated_name_that_says_all_is_taken(delegated, host_header, tls_name, hosts):
    place, asked = found("a.example", {"a.example": delegated})

    assert place == Place(host_header, tls_name, hosts)
    assert asked == [NeedDelegation("a.example")]


@pytest.mark.parametrize("delegated", [None, "", "no name", "b.example:0", "b.example:70000", "https://b.example"])
@pytest.mark.parametrize(
    ("services", "hosts", "lookups"),
    [
        ({FED: SRV}, HOSTS, [FED]),  # step 4
        ({OLD: SRV}, HOSTS, [FED, OLD]),  # step 5
        ({FED: SRV[:1], OLD: SRV[1:]}, HOSTS[:1], [FED]),
        ({}, (("a.example", 8448),), [FED, OLD]),  # step 6
    ],
)
def test_without_a_delegation_the_records_of_the_name_itself_count(delegated, services, hosts, lookups):
    place, asked = found(
        "a.example", {"a.example": delegated}, {f"{name}a.example": one for name, one in services.items()}
    )

    # The certificate is for the name, whatever the records say.
    assert place == Place("a.example", "a.example", hosts)
    assert asked == [NeedDelegation("a.example"), *(NeedServices(f"{name}a.example") for name in lookups)]


@pytest.mark.parametrize(
    ("services", "hosts"),
    [({FED: SRV}, HOSTS), ({OLD: SRV}, HOSTS), ({}, (("b.example", 8448),))],
)
def test_a_delegated_name_without_a_port_has_records_of_its_own(services, hosts):
    place, asked = found(
        "a.example", {"a.example": "b.example"}, {f"{name}b.example": one for name, one in services.items()}
    )

    assert place == Place("b.example", "b.example", hosts)
    # It is not asked whether it delegates further.
    assert NeedDelegation("b.example") not in asked


def test_a_service_that_is_decidedly_not_there_is_not_guessed_at():
    place, _ = found("a.example", {}, {f"{FED}a.example": (Service(0, 0, "", 0),)})

    assert place.hosts == ()


NAMES = st.one_of(
    st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}(:[0-9]{1,5})?", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda one: f"[{one}]"),
).filter(is_valid_server_name)
SERVICES = st.lists(
    st.builds(
        Service, st.integers(0, 3), st.integers(0, 65_535),
        st.sampled_from(["", ".", "x.example", "y.example"]),
        st.integers(0, 65_535),
    ),
    max_size=12,
)  # fmt: skip


@given(name=NAMES, delegated=st.one_of(st.none(), NAMES, st.text()), fed=SERVICES, old=SERVICES)
def test_whatever_is_answered_the_certificate_is_for_a_name_that_was_proven(name, delegated, fed, old):
    steps = discover(name)
    lookups = 0
    try:
        need = next(steps)
        while True:
            lookups += 1
            if isinstance(need, NeedDelegation):
                need = steps.send(delegated)
            else:
                need = steps.send(fed if need.name.startswith(FED) else old)
    except ValueError:
        assert not 0 < (split := int(name.rpartition(":")[2])) < 65_536, split
        return
    except StopIteration as done:
        place = done.value

    assert lookups <= 3
    trusted = [name, delegated] if isinstance(delegated, str) and is_valid_server_name(delegated) else [name]
    assert place.host_header in trusted
    assert place.tls_name == split_server_name(place.host_header).host
    assert len(place.hosts) <= 8
    assert all(host and 0 < port < 65_536 for host, port in place.hosts)


@given(SERVICES.flatmap(
    lambda one: st.tuples(st.just(one), st.lists(st.floats(0, 1, exclude_max=True), min_size=len(one),
                                                 max_size=len(one)))))  # fmt: skip
def test_the_order_keeps_priorities_and_loses_nobody(case):
    services, chances = case
    ordered = by_priority(services, chances)

    assert sorted(map(repr, ordered)) == sorted(map(repr, services))
    assert [one.priority for one in ordered] == sorted(one.priority for one in services)


def test_weights_decide_how_often_a_service_is_the_first():
    heavy, light, idle = Service(1, 90, "a", 1), Service(1, 10, "b", 1), Service(1, 0, "c", 1)
    firsts = [by_priority([light, idle, heavy], [step / 1_000, 0, 0])[0] for step in range(1_000)]

    assert 880 < firsts.count(heavy) < 920
    assert 80 < firsts.count(light) < 120
    assert firsts.count(idle) < 5
