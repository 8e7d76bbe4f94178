"""Three regions of one organisation: what `make demo-regions` shows, and who cannot pass for a region."""

import asyncio
import ssl

import aiohttp
import pytest

from clients.demo.region_servers import make_regions, start_all
from homeserver.core.signing import SigningKey, sign_json
from tests.scenarios.federation.people import Person

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    directory = tmp_path_factory.mktemp("regions")
    for one in (directory, *directory.parents[:2]):
        one.chmod(0o755)  # the embedded PostgreSQL may run as another user
    made = make_regions(directory, "europe.test", "america.test", "asia.test")
    try:
        start_all(made)
        yield made
    finally:
        for one in made:
            one.stop()


class Region:
    """A region as people of other scenarios see a server."""

    def __init__(self, region):
        self.name = region.name
        self.base_url = region.base_url
        self._region = region

    def told(self, characters=6000):
        return self._region.log.read_text()[-characters:]


async def test_users_of_three_regions_share_a_room_and_the_status_tells_who_lacks_what(regions, http):
    people = [await Person.come(http, Region(one), "anna") for one in regions]
    anna, ben, chi = people
    room_id = await anna.make_room(preset="public_chat", invite=[ben.user_id, chi.user_id])
    for one in (ben, chi):
        await one.is_in(room_id, "invite")
        await one.join_by(room_id, anna.server.name)
        await anna.sees_member(room_id, one.user_id, "join")
    for one in people:
        await one.say(room_id, f"from {one.server.name}")
        for other in people:
            await other.sees(room_id, f"from {one.server.name}")
    regions[2].kill()
    for number in range(10):
        await anna.say(room_id, f"lost {number}")
    await ben.sees(room_id, "lost 9")
    shown = []
    for _ in range(60):
        shown = (await asyncio.to_thread(regions[0].status)).splitlines()
        if "silent" in shown[2] and " 10 " in shown[2]:
            break
        await asyncio.sleep(0.5)
    assert shown[1].split()[:3] == ["america.test", "answers", "0"], shown
    assert "silent" in shown[2], shown
    assert " 10 " in shown[2], shown
    regions[2].begin()
    await asyncio.to_thread(regions[2].wait)
    await chi.sees(room_id, "lost 9")

    assert [body for body in chi.room(room_id).bodies() if "lost" in body] == [f"lost {n}" for n in range(10)]


async def test_who_has_the_key_of_a_region_but_not_its_certificate_is_refused(regions):
    """The signature is right; the connection shows no certificate."""
    europe, america, _ = regions
    key = next(america.directory.rglob("*signing*key*"))
    signing_key = SigningKey.parse(key.read_text().strip())
    target = "/_matrix/federation/v1/publicRooms"
    signed = sign_json(
        {"method": "GET", "uri": target, "origin": america.name, "destination": europe.name},
        america.name, signing_key,
    )  # fmt: skip
    signature = signed["signatures"][america.name][signing_key.key_id]
    header = (
        f'X-Matrix origin="{america.name}",destination="{europe.name}",'
        f'key="{signing_key.key_id}",sig="{signature}"'
    )
    authority = europe.directory.parent / "authority" / "region-ca.crt"
    stranger, member = (ssl.create_default_context(cafile=str(authority)) for _ in range(2))
    member.load_cert_chain(america.directory / "region.crt", america.directory / "region.key")
    statuses = []
    for trust in (stranger, member):
        trust.check_hostname = False
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as http,
            http.get(
                f"https://127.0.0.1:{europe.federation_port}{target}", headers={"Authorization": header}
            ) as answer,
        ):
            statuses.append(answer.status)

    assert statuses[0] == 401
    assert statuses[1] != 401
