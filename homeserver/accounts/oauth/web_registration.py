"""Registration on our own web pages: the same stages as in the API, passed with the fields of one form.

Spec: https://spec.matrix.org/v1.19/client-server-api/#user-registration
"""

from collections.abc import Mapping
from typing import Literal

from homeserver.accounts.account_data import AccountData
from homeserver.accounts.registration import NewAccount, Registration
from homeserver.accounts.stages import TOKEN, Stages
from homeserver.accounts.terms import TERMS, Document
from homeserver.accounts.uia import DUMMY
from homeserver.core.errors import Forbidden, InvalidUsername, WeakPassword

__all__ = ["ACCEPTED_TERMS", "WebRegistration"]

_PASSABLE = frozenset({DUMMY, TERMS, TOKEN})
ACCEPTED_TERMS = "m.accepted_terms"


class WebRegistration:
    """Makes accounts for people who fill in the form.

    Args:
        registration: makes accounts.
        stages: what has to be passed.
        account_data: remembers which terms were accepted.
        mode: who may make an account.
        needs_email: every account has to have an e-mail address, which this page cannot ask for.
    """

    def __init__(
        self,
        *,
        registration: Registration,
        stages: Stages,
        account_data: AccountData,
        mode: Literal["open", "token", "closed"],
        needs_email: bool = False,
    ) -> None:
        self._registration = registration
        self._stages = stages
        self._account_data = account_data
        self._mode = mode
        self._needs_email = needs_email

    @property
    def needs_token(self) -> bool:
        """Whether a registration token has to be given."""
        return self._mode == "token"

    @property
    def documents(self) -> list[Document]:
        """What has to be accepted."""
        return [] if self._stages.terms is None else self._stages.terms.documents()

    @property
    def closed_because(self) -> str | None:
        """Why nobody can make an account here, as a sentence; None if people can."""
        if self._mode == "closed":
            return "Registration is closed; ask the operator of this server for an account."
        if self._flow() is None:
            return "This server asks for more than this page can; make your account in a client."
        return None

    @property
    def is_open(self) -> bool:
        """Whether people can make accounts here."""
        return self.closed_because is None

    async def register(self, form: Mapping[str, str]) -> str:
        """Make an account; returns the user ID.

        Args:
            form: `user`, `password`, and `token` and `accept` where they are asked for.

        Raises:
            MatrixError: something in the form is not good, said in a sentence for the one who filled it in.
        """
        reason, flow = self.closed_because, self._flow()
        if reason is not None or flow is None:
            raise Forbidden(reason or "Registration is closed.")
        username, password = form.get("user", "").strip(), form.get("password", "")
        if not username:
            raise InvalidUsername("Choose a user name.")
        if not password:
            raise WeakPassword("Choose a password.")
        await self._registration.check_available(username)
        self._registration.check_password(password)
        checks = self._stages.checks(None)
        passed: dict[str, str] = {}
        for stage in flow:
            if stage == TERMS and form.get("accept") != "yes":
                raise Forbidden("Say that you accept the documents.")
            passed[stage] = await checks[stage]({"type": stage, "token": form.get("token", "").strip()})
        user_id = await self._registration.create(
            NewAccount(username, password, registration_token=passed.get(TOKEN))
        )
        if TERMS in passed and self._stages.terms is not None:
            await self._account_data.set(user_id, ACCEPTED_TERMS, {"accepted": self._stages.terms.urls()})
        return user_id

    def _flow(self) -> list[str] | None:
        if self._needs_email:
            return None
        flows = self._stages.for_registration(needs_token=self.needs_token)
        return next((flow for flow in flows if _PASSABLE.issuperset(flow)), None)
