"""Which account somebody gets with their first sign-in by a provider, and who gets none."""

import re

import pytest

from homeserver.config.accounts import Policy, RegistrationSection, TermsSection
from tests.clients.sso.sso_world import ERIKA


@pytest.fixture
def world(stopped_world):
    """Each test says first how its server is configured, and starts it."""
    return stopped_world


async def who(browser):
    """The user ID that the account page tells; None if nobody is signed in."""
    page = await browser.open("/account")
    found = re.search(r"@[a-z0-9.]+:localhost", page.text)
    return found and found[0]


def fields_of(page):
    return set(page.forms[0][1]) - {"form_key"} if page.forms else set()


async def test_a_name_that_is_taken_is_not_handed_over_and_another_is_asked_for(world):
    await world.server.start()
    await world.server.user("erika")
    browser = world.browser()

    page = await world.sign_in(browser, "/account?action=org.matrix.profile")
    taken = await browser.submit(page)
    page = await browser.submit(taken, user="erika.m")

    assert fields_of(taken) == {"user"}
    assert taken.status == 400
    assert "The user name erika is taken." in taken.text
    assert "Your profile" in page.text
    assert await who(browser) == "@erika.m:localhost"
    assert await who(browser) == "@erika.m:localhost"


@pytest.mark.parametrize(
    ("claim", "proposal"),
    [
        (None, ""),
        (17, ""),
        ("Erika.Mustermann@example.org", "erika.mustermann"),
        ("Müller Lüdenscheid", "m-ller-l-denscheid"),
        ("_bridge", "bridge"),
        ("漢字", ""),
        ("a\0b", ""),
    ],
)
async def test_a_name_that_cannot_be_one_here_is_made_to_fit_or_asked_for(world, claim, proposal):
    await world.server.start()
    world.provider.person["preferred_username"] = claim
    browser = world.browser()

    page = await world.sign_in(browser)

    assert page.forms[0][1]["user"] == proposal
    await browser.submit(page, user="chosen")
    assert await who(browser) == "@chosen:localhost"


async def test_upper_case_is_no_reason_to_ask(world):
    await world.server.start()
    world.provider.person["preferred_username"] = "ERIKA"
    browser = world.browser()

    await world.sign_in(browser)

    assert await who(browser) == ERIKA


@pytest.mark.parametrize("name", ["", "a b", "_x", "x" * 255, "ERIKA:localhost"])
async def test_a_name_that_cannot_be_had_is_told_and_the_form_stays(world, name):
    world.configure(rules={"asks_for_user_name": True})
    await world.server.start()
    browser = world.browser()

    page = await browser.submit(await world.sign_in(browser), user=name)

    assert page.status == 400
    assert fields_of(page) == {"user"}
    assert await who(browser) is None


@pytest.mark.parametrize(
    ("rule", "mode", "made"),
    [
        ("never", "open", False),
        ("as_registration", "closed", False),
        ("as_registration", "open", True),
        ("always", "closed", True),
        ("always", "token", True),
    ],
)
async def test_the_operator_says_who_gets_an_account(world, rule, mode, made):
    world.configure(rules={"new_accounts": rule}, registration=RegistrationSection(mode=mode))
    await world.server.start()
    browser = world.browser()

    page = await world.sign_in(browser)

    assert (await who(browser) == ERIKA) is made
    if not made:
        assert page.status == 403
        assert "only the operator of this server makes new ones" in page.text


async def test_a_registration_token_is_asked_for_where_registration_asks_for_one(world):
    registration = RegistrationSection(mode="token", tokens=("welcome",))
    world.configure(registration=registration)
    await world.server.start()
    browser = world.browser()
    page = await world.sign_in(browser)

    wrong = await browser.submit(page, token="guessed")
    assert (wrong.status, await who(browser)) == (403, None)
    await browser.submit(wrong, token="welcome")

    assert await who(browser) == ERIKA
    uses = "SELECT uses FROM registration_tokens WHERE token = 'welcome'"
    assert await world.server.database.fetch_one(uses) == (1,)


async def test_the_terms_are_accepted_first(world):
    policy = Policy("tos", "1", "en", "Terms <of> service", "https://example.org/terms")
    world.configure(rules={"new_accounts": "always"}, terms=TermsSection(policies=(policy,)))
    await world.server.start()
    browser = world.browser()
    page = await world.sign_in(browser)

    refused = await browser.submit(page)
    await browser.submit(refused, accept="yes")

    assert (refused.status, await who(browser)) == (403, ERIKA)
    accepted = await world.server.services.account_data.get(ERIKA, "m.accepted_terms")
    assert b"https://example.org/terms" in accepted


@pytest.mark.parametrize(("is_verified", "made"), [(True, True), (False, False)])
async def test_an_address_that_the_provider_has_verified_is_good_where_one_is_needed(
    world, is_verified, made
):
    world.configure(registration=RegistrationSection(mode="open", requires_email=True))
    await world.server.start()
    world.provider.person["email_verified"] = is_verified
    browser = world.browser()

    await world.sign_in(browser)

    assert (await who(browser) == ERIKA) is made


async def test_an_address_of_another_account_stays_there(world):
    await world.server.start()
    await world.sign_in(world.browser())
    world.provider.person |= {"sub": "2", "preferred_username": "other"}
    browser = world.browser()

    await world.sign_in(browser)

    assert await who(browser) == "@other:localhost"
    addresses = world.server.services.accounts.addresses.threepids
    assert await addresses.user_of("email", "erika@example.org") == ERIKA


async def test_an_account_of_the_same_name_is_linked_only_where_the_operator_says_so(world):
    world.configure(rules={"links_existing_accounts": True})
    await world.server.start()
    await world.server.user("erika")
    browser = world.browser()

    await world.sign_in(browser)
    assert await who(browser) == ERIKA

    # Somebody who gets the name at the provider later does not get the account.
    world.provider.person["sub"] = "another"
    other = world.browser()
    page = await world.sign_in(other)
    assert (fields_of(page), await who(other)) == ({"user"}, None)


@pytest.mark.parametrize("claim", ["erika@example.org", "_erika", "erika "])
async def test_a_name_that_was_made_to_fit_links_nothing(world, claim):
    world.configure(rules={"links_existing_accounts": True})
    await world.server.start()
    await world.server.user("erika")
    world.provider.person["preferred_username"] = claim
    browser = world.browser()

    page = await world.sign_in(browser)

    assert (fields_of(page), await who(browser)) == ({"user"}, None)


async def test_deactivated_accounts_are_not_linked(world):
    world.configure(rules={"links_existing_accounts": True})
    await world.server.start()
    await world.server.user("erika")
    await world.server.database.execute("UPDATE accounts SET deactivated_ms = 1")

    assert fields_of(await world.sign_in(world.browser())) == {"user"}


async def test_the_form_is_of_the_browser_that_has_signed_in_and_for_a_while(world):
    world.configure(rules={"asks_for_user_name": True})
    await world.server.start()
    browser, other = world.browser(), world.browser()
    page = await world.sign_in(browser)
    await other.open("/account/login")

    assert (await other.open("/account/newcomer")).status == 403
    assert (await other.submit(page)).status == 403
    world.clock.advance(15 * 60_000)
    assert (await browser.submit(page)).status == 403
    assert await who(browser) is None


async def test_one_person_gets_one_account_however_many_windows(world):
    world.configure(rules={"asks_for_user_name": True})
    await world.server.start()
    one, two = world.browser(), world.browser()
    first, second = await world.sign_in(one), await world.sign_in(two)
    await one.submit(first, user="erika1")

    page = await two.submit(second, user="erika2")

    assert page.status == 403
    assert "in another window" in page.text
    assert await world.server.database.fetch("SELECT user_id FROM accounts") == [("@erika1:localhost",)]
