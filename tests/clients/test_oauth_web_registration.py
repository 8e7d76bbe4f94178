from dataclasses import replace

import pytest

from homeserver.accounts.oauth.web_registration import WebRegistration
from homeserver.config.model import Policy, RegistrationSection, TermsSection
from tests.doubles.oauth import Browser

REGISTER = "/account/register"
SECRET = "a long and good password"
NEW = {"user": "dora", "password": SECRET, "password_again": SECRET}


async def restarted(server, **sections):
    server.configuration = replace(server.configuration, **sections)
    await server.restart()
    return Browser(server)


async def test_a_registration_token_is_asked_for_where_the_api_does(rooms_server):
    section = RegistrationSection(mode="token", tokens=("welcome",))
    browser = await restarted(rooms_server, registration=section)
    page = await browser.open(REGISTER)

    page = await browser.submit(page, **NEW, token="guess")
    assert page.status == 403
    assert "unknown, used up or expired" in page.text
    page = await browser.submit(page, **NEW, token=" welcome ")

    assert page.text.startswith("Your devices")


async def test_the_terms_have_to_be_accepted_and_are_remembered(rooms_server):
    policy = Policy(name="House rules", url="https://example.org/rules")
    browser = await restarted(rooms_server, terms=TermsSection((policy,)))
    page = await browser.open(REGISTER)
    assert "House rules" in page.text

    page = await browser.submit(page, **NEW)
    assert page.status == 403
    page = await browser.submit(page, **NEW, accept="yes")

    assert page.text.startswith("Your devices")
    accepted = await rooms_server.services.account_data.get("@dora:localhost", "m.accepted_terms")
    assert "https://example.org/rules" in str(accepted)


async def test_a_closed_server_says_so_and_makes_no_account(rooms_server):
    browser = await restarted(rooms_server, registration=RegistrationSection(mode="closed"))

    page = await browser.open(REGISTER)
    login = await browser.open("/account/login")
    key = login.forms[0][1]["form_key"]
    body = f"form_key={key}&user=dora&password={SECRET}&password_again={SECRET}"
    answer = await browser.ask("POST", REGISTER, body.encode())

    assert page.status == answer.status == 403
    assert "Registration is closed" in page.text
    assert REGISTER not in str(login.elements)
    assert await rooms_server.database.fetch("SELECT 1 FROM accounts") == []
    _, metadata = await rooms_server.call("GET", "/_matrix/client/v1/auth_metadata")
    assert metadata["prompt_values_supported"] == []


async def test_what_the_page_cannot_ask_for_is_not_got_round_by_it(rooms_server):
    accounts = rooms_server.services.accounts
    registration = WebRegistration(
        registration=accounts.registration, stages=accounts.stages,
        account_data=rooms_server.services.account_data, mode="open", needs_email=True,
    )  # fmt: skip

    assert not registration.is_open
    with pytest.raises(Exception, match="make your account in a client"):
        await registration.register(NEW)
