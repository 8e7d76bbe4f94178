"""The keys by which a provider signs: kept, fetched again when they change, and not at everybody's will."""

from tests.clients.sso.sso_world import is_signed_in
from tests.doubles.openid_provider import elliptic_key


async def test_keys_are_kept_and_fetched_again_once_they_change(world, browser):
    await world.sign_in(browser)
    await world.sign_in(world.browser())
    assert world.provider.asked.count(("GET", "/certs")) == 1
    world.provider.rotate()

    assert is_signed_in(await world.sign_in(world.browser()))
    assert world.provider.asked.count(("GET", "/certs")) == 2
    assert world.provider.asked.count(("GET", "/.well-known/openid-configuration")) == 1


async def test_unknown_keys_do_not_make_the_server_ask_again_and_again(world, browser):
    await world.sign_in(browser)
    published = world.provider.keys
    world.provider.rotate()
    world.provider._certs = lambda _body, _headers: (200, {"keys": [published[0].as_dict(private=False)]})

    for _ in range(3):
        assert (await world.sign_in(world.browser())).status == 403
    assert world.provider.asked.count(("GET", "/certs")) == 2
    world.clock.advance(30_000)
    assert (await world.sign_in(world.browser())).status == 403
    assert world.provider.asked.count(("GET", "/certs")) == 3


async def test_a_key_that_was_withdrawn_is_good_for_an_hour_at_most(world, browser):
    await world.sign_in(browser)
    old = world.provider.keys
    world.provider.rotate()
    signs, world.provider.keys = world.provider.keys, old
    world.clock.advance(3_600_000)
    url = world.provider.authorize(await world.leave(browser))
    world.provider._certs = lambda _body, _headers: (200, {"keys": [signs[0].as_dict(private=False)]})

    assert (await world.come_back(browser, url)).status == 403


async def test_signatures_by_elliptic_curves_are_good_too(world, browser):
    world.provider.keys, world.provider.algorithm = [elliptic_key()], "ES256"

    assert is_signed_in(await world.sign_in(browser))
