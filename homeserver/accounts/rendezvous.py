"""Mailboxes in which two devices of a user find each other, when a new one is signed in by a QR code.

What is in them is encrypted between the devices. They live for a minute or two, in memory: whoever loses one
begins again. Proposals: MSC4108 and MSC4388.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from homeserver.core.errors import NotFound
from homeserver.runtime.clock import Clock
from homeserver.runtime.randomness import Randomness

__all__ = ["DATA_BYTES_MAX", "Mailbox", "Rendezvous", "StaleWrite"]

DATA_BYTES_MAX = 4_096
_TRANSACTIONS_MAX = 32


class StaleWrite(Exception):
    """Somebody else has written since.

    Attributes:
        mailbox: as it is now.
    """

    def __init__(self, mailbox: "Mailbox") -> None:
        super().__init__("somebody else has written since")
        self.mailbox = mailbox


@dataclass(slots=True)
class Mailbox:
    """One message that is replaced by the next.

    Attributes:
        mailbox_id: whoever knows it may read and write.
        data: the message, as text.
        sequence_token: of this message; none comes twice.
        changed_ms: wall time of the last write.
        expires_ms: wall time of the end; writes do not prolong it.
        previous_token: of the message before.
        transactions: the sequence token that came of each transaction.
    """

    mailbox_id: str
    data: str
    sequence_token: str
    changed_ms: int
    expires_ms: int
    previous_token: str | None = None
    transactions: dict[str, str] = field(default_factory=dict)


class Rendezvous:
    """Keeps mailboxes.

    Args:
        clock: ends them.
        randomness: makes their IDs.
        lifetime_ms: of a mailbox.
        mailboxes_max: when there are more, the oldest is thrown away.
    """

    def __init__(
        self, *, clock: Clock, randomness: Randomness, lifetime_ms: int, mailboxes_max: int = 100
    ) -> None:
        assert mailboxes_max >= 1
        self._clock = clock
        self._randomness = randomness
        self._lifetime_ms = lifetime_ms
        self._mailboxes_max = mailboxes_max
        self._mailboxes: OrderedDict[str, Mailbox] = OrderedDict()

    def create(self, data: str) -> Mailbox:
        """Make a mailbox with a first message."""
        now_ms = self._clock.now_ms()
        while self._mailboxes:
            oldest = next(iter(self._mailboxes.values()))
            if oldest.expires_ms > now_ms and len(self._mailboxes) < self._mailboxes_max:
                break
            del self._mailboxes[oldest.mailbox_id]
        mailbox = Mailbox(
            self._randomness.token_urlsafe(18), data, self._token(), now_ms, now_ms + self._lifetime_ms
        )
        self._mailboxes[mailbox.mailbox_id] = mailbox
        return mailbox

    def find(self, mailbox_id: str) -> Mailbox:
        """Look into a mailbox.

        Raises:
            NotFound: there is none of that ID, or not any more.
        """
        mailbox = self._mailboxes.get(mailbox_id)
        if mailbox is None or mailbox.expires_ms <= self._clock.now_ms():
            raise NotFound("There is no such rendezvous, or its time is over.")
        return mailbox

    def write(
        self, mailbox_id: str, data: str, *, sequence_token: str, transaction_id: str | None = None
    ) -> Mailbox:
        """Replace the message, if it is the one that the writer has seen.

        Who repeats the last write because its answer was lost changes nothing.

        Raises:
            NotFound: there is no such mailbox.
            StaleWrite: it is another message by now.
        """
        mailbox = self.find(mailbox_id)
        if transaction_id is not None and mailbox.transactions.get(transaction_id) == mailbox.sequence_token:
            return mailbox
        if sequence_token == mailbox.previous_token and data == mailbox.data:
            return mailbox
        if sequence_token != mailbox.sequence_token:
            raise StaleWrite(mailbox)
        mailbox.previous_token, mailbox.sequence_token = sequence_token, self._token()
        mailbox.data, mailbox.changed_ms = data, self._clock.now_ms()
        if transaction_id is not None:
            while len(mailbox.transactions) >= _TRANSACTIONS_MAX:
                del mailbox.transactions[next(iter(mailbox.transactions))]
            mailbox.transactions[transaction_id] = mailbox.sequence_token
        return mailbox

    def delete(self, mailbox_id: str) -> None:
        """Throw a mailbox away.

        Raises:
            NotFound: there is none of that ID, or not any more.
        """
        del self._mailboxes[self.find(mailbox_id).mailbox_id]

    def _token(self) -> str:
        return self._randomness.token_urlsafe(12)
