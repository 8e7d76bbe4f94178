import pytest
from twisted.internet.defer import fail, succeed
from twisted.names import dns
from twisted.names.error import DNSNameError, DNSQueryTimeoutError, DNSServerError

from federation.client.dns import DnsServices, Services
from federation.discovery import Service


class Resolver:
    """Answers as Twisted's does."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def lookupService(self, name, timeout):  # noqa: N802 - Twisted's name
        self.asked.append(name)
        return self.answer


def record(priority, weight, port, host, ttl):
    payload = dns.Record_SRV(priority, weight, port, host)
    return dns.RRHeader("_matrix-fed._tcp.a.example", dns.SRV, ttl=ttl, payload=payload)


async def test_records_are_read_with_the_shortest_of_their_lives():
    alias = dns.RRHeader("_matrix-fed._tcp.a.example", dns.CNAME, ttl=1, payload=dns.Record_CNAME("x"))
    answers = [record(1, 2, 443, b"b.example", 300), alias, record(3, 4, 8448, b"", 100)]
    resolver = Resolver(succeed((answers, [], [])))

    found = await DnsServices(resolver).services("_matrix-fed._tcp.a.example")

    assert found == Services((Service(1, 2, "b.example", 443), Service(3, 4, "", 8448)), 100_000)
    assert resolver.asked == ["_matrix-fed._tcp.a.example"]


@pytest.mark.parametrize("answer", [succeed(([], [], [])), fail(DNSNameError(None))])
async def test_that_there_are_none_is_known_for_a_while(answer):
    assert await DnsServices(Resolver(answer)).services("x") == Services((), 300_000)


@pytest.mark.parametrize("error", [DNSServerError(None), DNSQueryTimeoutError(1), OSError(), ValueError()])
async def test_that_nobody_knows_is_known_for_no_time(error):
    assert await DnsServices(Resolver(fail(error))).services("x") == Services((), 0)
