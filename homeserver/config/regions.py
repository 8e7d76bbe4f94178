"""What an operator says about the organisation's own other servers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from homeserver.config import checks
from homeserver.config.keys import between, key

__all__ = ["Region", "region_mistakes"]


@dataclass(frozen=True, slots=True)
class Region:
    """Another server of the organisation. Both sides show certificates of its own authority."""

    name: str = key("", "its server name", example="eu.example.org", check=checks.server_name_or_empty)
    addresses: tuple[str, ...] = key(
        (), "where it is reached, in the order in which they are tried: host or address, with :port",
        example=("10.0.2.1:8448",), check=checks.server_names,
    )  # fmt: skip
    ca_file: str = key("", "PEM file with the organisation's authority", example="/etc/isthmus/ca.pem")
    certificate: str = key(
        "", "PEM file with this server's own certificate", example="/etc/isthmus/region.crt"
    )
    certificate_key: str = key("", "PEM file with its private key", example="/etc/isthmus/region.key")
    priority: int = key(1, "regions of a higher one go first", check=between(1, 100))


def region_mistakes(regions: Sequence[Region]) -> Iterator[tuple[str, str, str, str]]:
    """What no key shows alone: key, what was found, what is expected, and an example."""
    names = [one.name for one in regions]
    needed = {
        "name": "'eu.example.org'", "addresses": "['10.0.2.1:8448']", "ca_file": "'/etc/isthmus/ca.pem'",
        "certificate": "'/etc/isthmus/region.crt'", "certificate_key": "'/etc/isthmus/region.key'",
    }  # fmt: skip
    for place, one in enumerate(regions):
        path = f"regions[{place}]."
        for each, example in needed.items():
            if not getattr(one, each):
                yield path + each, "none", "a value, for every region", example
        if one.name and names.index(one.name) < place:
            yield path + "name", repr(one.name), "another name than that of the other regions", ""
