"""What is written to people: e-mail, and text messages if there is something that sends them."""

from email.message import EmailMessage
from typing import Protocol
from urllib.parse import urlencode

from homeserver.accounts.addresses import EMAIL
from homeserver.accounts.validations import ADD, REGISTER, RESET
from storage.tables.threepids import ValidationRow

__all__ = ["VALIDATE_PATH", "AccountMessages", "Mailer", "SmsSender"]

VALIDATE_PATH = "/_matrix/client/v3/account/3pid/email/validate"

_WHAT = {
    REGISTER: "register an account on",
    RESET: "set a new password for your account on",
    ADD: "add this address to an account on",
}
_REFUSED = {
    REGISTER: "Somebody, perhaps you, wants to register an account on {server} with this address. There is "
    "an account with it already: log in, or have its password reset.",
    RESET: "Somebody, perhaps you, wants to set a new password on {server} by this address. No account there "
    "has it.",
    ADD: "Somebody, perhaps you, wants to add this address to an account on {server}. Another account has it "
    "already: take it from that one first.",
}


class Mailer(Protocol):
    """Sends e-mail."""

    def send(self, message: EmailMessage) -> None:
        """Send a message in the background."""


class SmsSender(Protocol):
    """Sends text messages: what an operator who wants phone numbers has to bring."""

    def send(self, number: str, text: str) -> None:
        """Send a text to a number (digits with the country's code) in the background."""


class AccountMessages:
    """Writes the messages.

    Args:
        mailer: None: no e-mail goes out.
        sms_sender: None: no text messages go out.
        sender: address that e-mail comes from.
        server_name: of this server.
        base_url: where browsers reach this server.
    """

    def __init__(
        self,
        *,
        mailer: Mailer | None,
        sms_sender: SmsSender | None,
        sender: str,
        server_name: str,
        base_url: str,
    ) -> None:
        self._mailer = mailer
        self._sms_sender = sms_sender
        self._sender = sender
        self._server_name = server_name
        self._base_url = base_url.rstrip("/")

    def can_reach(self, medium: str) -> bool:
        """Whether messages of that kind go out at all."""
        return (self._mailer if medium == EMAIL else self._sms_sender) is not None

    def send_token(self, validation: ValidationRow, token: str) -> None:
        """Send the secret that shows whose the address is; returns at once."""
        if validation.medium == EMAIL:
            query = {"sid": validation.sid, "client_secret": validation.client_secret, "token": token}
            link = f"{self._base_url}{VALIDATE_PATH}?{urlencode(query)}"
            text = (
                f"You, or somebody else, want to {_WHAT[validation.purpose]} {self._server_name}.\n\n"
                f"If it is you, open this page within an hour and confirm it there:\n\n{link}\n\n"
                "If it is not, do nothing: without that page nothing happens.\n"
            )
            self._mail(validation.address, f"Confirm your address for {self._server_name}", text)
        elif self._sms_sender is not None:
            self._sms_sender.send(validation.address, f"{token} is your code for {self._server_name}.")

    def send_refusal(self, validation: ValidationRow) -> None:
        """Tell whoever reads the address that there is an account already, or none; returns at once."""
        text = _REFUSED[validation.purpose].format(server=self._server_name)
        if validation.medium == EMAIL:
            self._mail(validation.address, f"Your address and {self._server_name}", text + "\n")
        elif self._sms_sender is not None:
            self._sms_sender.send(validation.address, text)

    def _mail(self, address: str, subject: str, text: str) -> None:
        if self._mailer is None:
            return
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = address
        message["Subject"] = subject
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        self._mailer.send(message)
