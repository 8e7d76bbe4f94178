"""The pages on which somebody shows in a browser that an e-mail address or a phone number is theirs.

Two steps on one page: the address, to which something is sent, then what comes of it: a link that was
followed, or a code. What the first step makes goes along in the form; it is good for nothing without that.

Spec: https://spec.matrix.org/v1.19/client-server-api/#fallback
"""

from collections.abc import Mapping
from html import escape
from typing import Any

from homeserver.accounts.address_stages import EMAIL_STAGE, AddressStages, BegunStage
from homeserver.accounts.uia import OpenStage, Stage
from homeserver.core.errors import MatrixError

__all__ = ["AddressSteps", "address_fields", "begun_of"]

_HIDDEN = ("sid", "client_secret", "address")
_CHARACTERS_MAX = 300

_EMAIL = (
    '<label for="email">Your e-mail address</label>'
    '<input id="email" name="email" type="email" autocomplete="email" required>'
)
_PHONE = (
    '<label for="country">Country, as two letters (not needed if the number begins with +)</label>'
    '<input id="country" name="country" type="text" autocomplete="country" maxlength="2">'
    '<label for="phone">Your phone number</label>'
    '<input id="phone" name="phone" type="tel" autocomplete="tel" required>'
)
_CODE = (
    '<label for="code">The code from the message</label>'
    '<input id="code" name="code" type="text" inputmode="numeric" autocomplete="one-time-code" required>'
)


class AddressSteps:
    """Takes the two steps.

    Args:
        addresses: sends and checks.
    """

    def __init__(self, addresses: AddressStages) -> None:
        self._addresses = addresses

    async def take(
        self, stage: str, opened: OpenStage, check: Stage, form: Mapping[str, str]
    ) -> str | BegunStage:
        """Take the step that a form stands for.

        Args:
            stage: the type of the stage.
            opened: the stage.
            check: of the stage.
            form: what was filled in.

        Returns:
            What to remember of the stage that is passed, or what the second step needs.

        Raises:
            MatrixError: what was typed is no address, or was not shown (yet) to be theirs.
        """
        if "sid" not in form:
            typed = form.get("email" if stage == EMAIL_STAGE else "phone", "")
            return await self._addresses.begin(stage, opened.operation, form.get("country", ""), typed)
        sid, client_secret = form["sid"], form.get("client_secret", "")
        if stage != EMAIL_STAGE:
            await self._addresses.submit_code(sid, client_secret, form.get("code", "").strip())
        auth: dict[str, Any] = {"threepid_creds": {"sid": sid, "client_secret": client_secret}}
        return await check(auth)


def begun_of(form: Mapping[str, str], failure: MatrixError | None) -> BegunStage | None:
    """Where somebody was whose step failed: the second step is shown again, unless it was the first."""
    if failure is None or "sid" not in form:
        return None
    sid, client_secret, address = (form.get(name, "")[:_CHARACTERS_MAX] for name in _HIDDEN)
    return BegunStage(sid, client_secret, address)


def address_fields(stage: str, begun: BegunStage | None) -> str:
    """The inputs of a step, as HTML.

    Args:
        stage: the type of the stage.
        begun: what the first step came to; None: it is still to be taken.
    """
    if begun is None:
        return _EMAIL if stage == EMAIL_STAGE else _PHONE
    values = (begun.sid, begun.client_secret, begun.address)
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">'
        for name, value in zip(_HIDDEN, values, strict=True)
    )
    if stage != EMAIL_STAGE:
        return f"<p>A code is on its way to {escape(begun.address)}.</p>{hidden}{_CODE}"
    return (
        f"<p>A message is on its way to {escape(begun.address)}. Follow the link in it, confirm your address"
        f" there, and come back to this page.</p>{hidden}"
    )
