"""The part of the account page on the profile: the name, the picture, and how the user can be reached.

Spec: https://spec.matrix.org/v1.19/client-server-api/#account-management-url-actions
"""

from collections.abc import Mapping
from html import escape

from clients.oauth.account_views import PROFILE, page_path
from clients.oauth.browser import Browser, field, redirect
from homeserver.accounts.addresses import EMAIL, canonical_address, canonical_email
from homeserver.accounts.identity_servers import IdentityServers
from homeserver.accounts.oauth.browser_sessions import Visit
from homeserver.accounts.profile import ProfileChanges, Profiles
from homeserver.accounts.threepids import Threepids
from homeserver.accounts.validations import ADD, ValidationRequest
from homeserver.core.errors import InvalidParam, UserSuspended
from homeserver.http.response import Response
from homeserver.runtime.randomness import Randomness

__all__ = ["ProfilePart"]

_NAME_CHARACTERS_MAX = 256
_SECRET_BYTES = 18


class ProfilePart:
    """Shows the profile and changes it.

    Args:
        browser: makes forms, and asks for the password.
        profiles: shown.
        changes: made.
        threepids: the addresses.
        identity_servers: told of addresses that go.
        randomness: makes up secrets.
        sends_email: whether addresses can be added.
    """

    def __init__(
        self,
        *,
        browser: Browser,
        profiles: Profiles,
        changes: ProfileChanges,
        threepids: Threepids,
        identity_servers: IdentityServers,
        randomness: Randomness,
        sends_email: bool,
    ) -> None:
        self._browser = browser
        self._profiles = profiles
        self._changes = changes
        self._threepids = threepids
        self._identity_servers = identity_servers
        self._randomness = randomness
        self._sends_email = sends_email

    async def content(self, visit: Visit, user_id: str) -> str:
        """What the page shows, as HTML."""
        profile = await self._profiles.profile_of(user_id)
        name = str(profile.get("displayname", ""))
        inputs = field("name", "Your name, as others see it", complete="nickname", value=name, extra=" ")
        shown = self._form(visit, "name", inputs + "<button>Save</button>")
        if avatar := profile.get("avatar_url"):
            shown += (
                f"<h2>Picture</h2><p>Others see the picture <code>{escape(str(avatar))}</code>."
                " Your client can replace it.</p>"
                + self._form(visit, "no_picture", '<button class="second">Remove the picture</button>')
            )
        return shown + await self._addresses(visit, user_id)

    async def act(self, visit: Visit, user_id: str, form: Mapping[str, str]) -> Response | str:
        """Do what a form of the part asks for; returns where to go on, or what to show next, as HTML.

        Raises:
            MatrixError: it cannot be done.
        """
        what = form.get("what", "")
        if visit.is_suspended:
            raise UserSuspended("Your account is suspended: its profile cannot be changed.")
        if what == "name":
            await self._rename(user_id, form.get("name", "").strip())
        elif what == "no_picture":
            await self._changes.delete_field(user_id, "avatar_url")
        elif what == "remove_address":
            medium, address = form.get("medium", ""), form.get("address", "")
            await self._remove_address(user_id, medium, canonical_address(medium, address))
        elif what == "add_address":
            await self._browser.sessions.confirm_if_long_ago(visit, form.get("password", ""))
            return await self._begin(visit, form.get("email", ""))
        elif what == "finish_address":
            # A validation may have been begun and passed elsewhere, by whoever sits at this browser.
            await self._browser.sessions.confirm_if_long_ago(visit, form.get("password", ""))
            await self._threepids.add(user_id, form.get("sid", ""), form.get("client_secret", ""))
        else:
            raise InvalidParam("There is nothing to do here.")
        return redirect(page_path(PROFILE))

    def unfinished(self, visit: Visit, form: Mapping[str, str]) -> str | None:
        """What is shown again when an address is not confirmed yet, as HTML; None: it was another form."""
        if form.get("what") != "finish_address":
            return None
        sid, client_secret, email = (form.get(name, "")[:300] for name in ("sid", "client_secret", "email"))
        return self._finish_form(visit, sid, client_secret, email)

    async def _rename(self, user_id: str, name: str) -> None:
        if len(name) > _NAME_CHARACTERS_MAX:
            raise InvalidParam(f"The name must have at most {_NAME_CHARACTERS_MAX} characters.")
        await self._changes.set_field(user_id, "displayname", name)

    async def _remove_address(self, user_id: str, medium: str, address: str) -> None:
        await self._threepids.delete(user_id, medium, address)
        await self._identity_servers.try_unbind(user_id, medium, address, None)

    async def _begin(self, visit: Visit, typed: str) -> str:
        email = canonical_email(typed)
        if not self._sends_email:
            raise InvalidParam("This server sends no e-mail, so it cannot see whose an address is.")
        secret = self._randomness.token_urlsafe(_SECRET_BYTES)
        sid = await self._threepids.begin(ValidationRequest(ADD, EMAIL, email, secret, 1))
        return self._finish_form(visit, sid, secret, email)

    def _finish_form(self, visit: Visit, sid: str, client_secret: str, email: str) -> str:
        hidden = _hidden(sid=sid, client_secret=client_secret, email=email)
        told = (
            f'<p role="status">A message is on its way to {escape(email)}. Follow the link in it, confirm'
            " your address there, and come back to this page.</p>"
        )
        inputs = hidden + self._password(visit) + "<button>Continue</button>"
        return told + self._form(visit, "finish_address", inputs)

    async def _addresses(self, visit: Visit, user_id: str) -> str:
        items = "".join(
            f"<li>{escape(('+' if one.medium != EMAIL else '') + one.address)} "
            + self._form(
                visit, "remove_address", _hidden(medium=one.medium, address=one.address)
                + f'<button class="second" aria-label="Remove {escape(one.address)}">Remove</button>',
            )
            + "</li>"
            for one in await self._threepids.of_user(user_id)
        )  # fmt: skip
        listed = f"<ul>{items}</ul>"
        if not items:
            listed = "<p>There is no address. With one, a lost password can be replaced.</p>"
        if self._sends_email:
            inputs = field("email", "A further e-mail address", kind="email", complete="email")
            inputs += self._password(visit) + "<button>Add it</button>"
            listed += self._form(visit, "add_address", inputs)
        return f"<h2>How you can be reached</h2>{listed}"

    @staticmethod
    def _password(visit: Visit) -> str:
        if visit.is_confirmed:
            return ""
        return field("password", "Your password", kind="password", complete="current-password")

    def _form(self, visit: Visit, what: str, content: str) -> str:
        return self._browser.form(visit, page_path(PROFILE), _hidden(what=what) + content)


def _hidden(**fields: str) -> str:
    return "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in fields.items()
    )
