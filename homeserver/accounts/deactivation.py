"""The end of an account: nobody can use it, what only its user could use is deleted, and it leaves its rooms.

Spec: https://spec.matrix.org/v1.19/client-server-api/#account-deactivation
"""

from homeserver.accounts.devices import Devices
from homeserver.accounts.identity_servers import IdentityServers
from homeserver.accounts.ports import Departures, Erasures
from homeserver.core.errors import NotFound
from homeserver.runtime.clock import Clock
from homeserver.runtime.tasks import Tasks
from storage.pool import Database
from storage.tables import account_states, threepids

__all__ = ["Deactivation"]


class Deactivation:
    """Deactivates accounts.

    Args:
        database: of accounts.
        devices: which are logged out.
        departures: leaves rooms.
        erasures: hides what erased users said from those who come later.
        identity_servers: are told to forget the addresses of the user.
        clock: tells when.
        tasks: in which rooms are left, for there may be many.
    """

    def __init__(
        self,
        *,
        database: Database,
        devices: Devices,
        departures: Departures,
        erasures: Erasures,
        identity_servers: IdentityServers,
        clock: Clock,
        tasks: Tasks,
    ) -> None:
        self._database = database
        self._devices = devices
        self._departures = departures
        self._erasures = erasures
        self._identity_servers = identity_servers
        self._clock = clock
        self._tasks = tasks

    async def deactivate(self, user_id: str, *, erase: bool = False, id_server: str | None = None) -> bool:
        """Deactivate an account. There is no way back, and the name stays taken.

        On return nobody can use it any more; its rooms are left in the background, over a restart if need be.

        Args:
            user_id: whose.
            erase: also clear the profile, and show what the user said to nobody who was not there.
            id_server: an identity server that is to forget the user's addresses, beside those at which
                they were bound through this homeserver.

        Returns:
            Whether no identity server tells of the user's addresses any more, as far as is known.

        Raises:
            NotFound: there is no such account, or it is deactivated.
        """
        now_ms = self._clock.now_ms()
        if erase:
            # First: whatever happens then, the wish is noted.
            await self._erasures.add(user_id, now_ms)
        addresses = await threepids.of_user(self._database, user_id)
        async with self._database.transaction() as transaction:
            if not await account_states.strip(transaction, user_id, now_ms, clears_profile=erase):
                raise NotFound("There is no such user.")
        await self._devices.delete_all(user_id)
        self._tasks.start(self._depart(user_id), f"departure of {user_id}")
        return await self._identity_servers.unbind_all(
            user_id, [(one.medium, one.address) for one in addresses], id_server
        )

    async def resume(self) -> None:
        """Go on with what a restart has interrupted; to be called once, in the background."""
        for user_id in await account_states.departing(self._database):
            # It may have been interrupted before its devices were gone.
            await self._devices.delete_all(user_id)
            await self._identity_servers.unbind_all(user_id, (), None)
            await self._depart(user_id)

    async def _depart(self, user_id: str) -> None:
        await self._departures.leave_all(user_id)
        await account_states.has_departed(self._database, user_id)
