"""What comes of a command."""

import asyncio
from dataclasses import dataclass

__all__ = ["Sent"]


@dataclass(frozen=True, slots=True)
class Sent:
    """An event that was composed and handed to the journal.

    Attributes:
        event_id: of the event, or of the one that was there already.
        committed: resolves when it is durable; None if it was found in storage.
    """

    event_id: str
    committed: "asyncio.Future[None] | None"

    async def durable(self) -> str:
        """Wait until the event is durable; returns its ID. A waiter that goes away cancels nothing.

        Raises:
            Unavailable: it was not stored; the same command may be given again.
        """
        if self.committed is not None:
            await asyncio.shield(self.committed)
        return self.event_id
