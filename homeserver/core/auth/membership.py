"""The rules of event authorization for `m.room.member`.

Spec: rule 5 of https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from homeserver.core.auth.denied import Denied
from homeserver.core.auth.selection import StateKey
from homeserver.core.auth.third_party import check_third_party_invite
from homeserver.core.content import join_rules
from homeserver.core.content.create import creators_of
from homeserver.core.content.member import (
    BAN,
    INVITE,
    JOIN,
    KNOCK,
    LEAVE,
    authoriser_of,
    membership_in,
    membership_of,
)
from homeserver.core.content.power_levels import PowerLevels
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import server_name_of

__all__ = ["check_membership"]

_IN_OR_INVITED = frozenset((JOIN, INVITE))
_CANNOT_KNOCK = frozenset((BAN, INVITE, JOIN))


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of membership with what decides about it."""

    event: Event
    state: Mapping[StateKey, Event]
    create: Event
    target: str
    sender_was: str
    target_was: str
    levels: PowerLevels

    @property
    def is_own(self) -> bool:
        return self.event.sender == self.target

    def join_rule(self) -> str:
        return join_rules.join_rule_of(self.state.get(("m.room.join_rules", "")))

    def outranks_target(self) -> bool:
        return self.levels.user_level(self.target) < self.levels.user_level(self.event.sender)


def check_membership(event: Event, state: Mapping[StateKey, Event], create: Event) -> Denied | None:
    """Check an `m.room.member` against the room state before it."""
    if event.state_key is None:
        return Denied("Membership is room state, so the event needs a state key.")
    membership = membership_in(event.content)
    if membership is None:
        return Denied("The event says no membership.")
    check = _CHECKS.get(membership)
    if check is None or (membership == KNOCK and not event.rules.authorization.knocking):
        return Denied(f"There is no membership {membership!r} in this room version.")
    if not _is_signed_by_authoriser(event):
        return Denied("The server of the user on whose authority this is has not signed it.")
    return check(
        _Change(
            event=event,
            state=state,
            create=create,
            target=event.state_key,
            sender_was=membership_of(state.get(("m.room.member", event.sender))),
            target_was=membership_of(state.get(("m.room.member", event.state_key))),
            levels=PowerLevels.of(state.get(("m.room.power_levels", "")), create, event.rules),
        )
    )


def _is_signed_by_authoriser(event: Event) -> bool:
    """Say whether a signature that the content asks for is there; that it is valid was checked on receipt."""
    if not event.rules.authorization.restricted_join_rule:
        return True
    if "join_authorised_via_users_server" not in event.content:
        return True
    authoriser = authoriser_of(event.content)
    server_name = None if authoriser is None else server_name_of(authoriser)
    signatures = event.pdu.get("signatures")
    return isinstance(signatures, dict) and server_name is not None and bool(signatures.get(server_name))


def _check_join(change: _Change) -> Denied | None:  # noqa: PLR0911 - one return for each rule, in the order of the spec
    event = change.event
    if event.prev_events == (change.create.event_id,) and change.target in creators_of(change.create)[:1]:
        return None
    if not change.is_own:
        return Denied("Nobody joins a room for somebody else.")
    if change.sender_was == BAN:
        return Denied(f"{event.sender} is banned from the room.")
    join_rule = change.join_rule()
    if join_rule == join_rules.PUBLIC:
        return None
    is_restricted = join_rules.is_restricted(join_rule, event.rules)
    takes_invite = (
        is_restricted or join_rule == join_rules.INVITE or join_rules.lets_knock(join_rule, event.rules)
    )
    if takes_invite and change.sender_was in _IN_OR_INVITED:
        return None
    if is_restricted:
        return _check_authoriser(change)
    return Denied(f"{event.sender} is not invited to the room.")


def _check_authoriser(change: _Change) -> Denied | None:
    authoriser = authoriser_of(change.event.content)
    if authoriser is None:
        return Denied(f"{change.event.sender} is not invited, and joins on nobody's authority.")
    if membership_of(change.state.get(("m.room.member", authoriser))) != JOIN:
        return Denied("The user on whose authority the join is, is not in the room.")
    if change.levels.user_level(authoriser) < change.levels.invite:
        return Denied("The user on whose authority the join is, may not invite.")
    return None


def _check_invite(change: _Change) -> Denied | None:
    if "third_party_invite" in change.event.content:
        return check_third_party_invite(change.event, change.state, change.target_was)
    if change.sender_was != JOIN:
        return _not_in_room(change)
    if change.target_was == JOIN:
        return Denied(f"{change.target} is already in the room.")
    if change.target_was == BAN:
        return Denied(f"{change.target} is banned from the room.")
    if change.levels.user_level(change.event.sender) < change.levels.invite:
        return Denied(f"It takes a power level of {change.levels.invite} to invite.")
    return None


def _check_leave(change: _Change) -> Denied | None:
    if change.is_own:
        may_leave = change.sender_was in _IN_OR_INVITED or (
            change.sender_was == KNOCK and change.event.rules.authorization.knocking
        )
        return None if may_leave else Denied(f"{change.target} is not in the room.")
    if change.sender_was != JOIN:
        return _not_in_room(change)
    sender_level = change.levels.user_level(change.event.sender)
    if change.target_was == BAN and sender_level < change.levels.ban:
        return Denied(f"It takes a power level of {change.levels.ban} to lift a ban.")
    if sender_level < change.levels.kick:
        return Denied(f"It takes a power level of {change.levels.kick} to kick.")
    if not change.outranks_target():
        return Denied(f"{change.target} has at least the same power level.")
    return None


def _check_ban(change: _Change) -> Denied | None:
    if change.sender_was != JOIN:
        return _not_in_room(change)
    if change.levels.user_level(change.event.sender) < change.levels.ban:
        return Denied(f"It takes a power level of {change.levels.ban} to ban.")
    if not change.outranks_target():
        return Denied(f"{change.target} has at least the same power level.")
    return None


def _check_knock(change: _Change) -> Denied | None:
    if not join_rules.lets_knock(change.join_rule(), change.event.rules):
        return Denied("The room does not let anybody knock.")
    if not change.is_own:
        return Denied("Nobody knocks for somebody else.")
    if change.sender_was in _CANNOT_KNOCK:
        return Denied(f"{change.target} cannot knock: the present membership is {change.sender_was}.")
    return None


def _not_in_room(change: _Change) -> Denied:
    return Denied(f"{change.event.sender} is not in the room.")


_CHECKS: Mapping[str, Callable[[_Change], Denied | None]] = {
    BAN: _check_ban,
    INVITE: _check_invite,
    JOIN: _check_join,
    KNOCK: _check_knock,
    LEAVE: _check_leave,
}
