"""Every room version as data: each is its predecessor with what it changed.

Spec: https://spec.matrix.org/v1.19/rooms/

This is the only file that knows room versions by number; other code asks `rules.authorization.knocking`
and the like, never which version it has before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType

__all__ = [
    "DEFAULT_ROOM_VERSION", "ROOM_VERSIONS", "AuthorizationRules", "EventIdFormat", "RedactionRules",
    "RoomVersionRules", "StateResolution", "rules_for",
]  # fmt: skip

DEFAULT_ROOM_VERSION = "12"


class EventIdFormat(Enum):
    """How events are named."""

    DOMAIN = "domain"
    """Chosen by the sending server and part of the PDU: `$opaque:server`."""
    BASE64 = "base64"
    """The reference hash in unpadded base64."""
    URL_SAFE_BASE64 = "url_safe_base64"
    """The reference hash in unpadded URL-safe base64."""


class StateResolution(Enum):
    """Which state resolution algorithm a room uses."""

    V1 = "1"
    V2 = "2"
    V2_1 = "2.1"


@dataclass(frozen=True, slots=True)
class RedactionRules:
    """What a redaction leaves of an event.

    Attributes:
        top_level: keys of the event that stay.
        content: keys of the content that stay, by event type; None for all of them.
        member_third_party_invite_signed: `signed` of `third_party_invite` stays in `m.room.member`.
        redacts_in_content: `m.room.redaction` names its target in its content, not at the top level.
    """

    top_level: frozenset[str]
    content: Mapping[str, frozenset[str] | None]
    member_third_party_invite_signed: bool = False
    redacts_in_content: bool = False


@dataclass(frozen=True, slots=True)
class AuthorizationRules:
    """What event authorization depends on, apart from what is the same in every version.

    Attributes:
        special_case_room_redaction: `m.room.redaction` has an authorization rule of its own.
        special_case_aliases_auth: `m.room.aliases` has an authorization rule of its own.
        limit_notifications_power_levels: changes of `notifications` are limited as those of `events` are.
        knocking: membership and join rule `knock` exist.
        restricted_join_rule: join rule `restricted` and `join_authorised_via_users_server` exist.
        knock_restricted_join_rule: join rule `knock_restricted` exists.
        integer_power_levels: power levels must be integers; before, strings of integers and floats count too.
        use_room_create_sender: the creator is the sender of `m.room.create`, not `content.creator`.
        explicitly_privilege_room_creators: creators have infinite power and may not be in `users`.
        additional_room_creators: `additional_creators` of `m.room.create` are creators too.
        room_create_event_id_as_room_id: the room ID is the create event's ID; the create event has none
            and is never among the auth events.
    """

    special_case_room_redaction: bool = True
    special_case_aliases_auth: bool = True
    limit_notifications_power_levels: bool = False
    knocking: bool = False
    restricted_join_rule: bool = False
    knock_restricted_join_rule: bool = False
    integer_power_levels: bool = False
    use_room_create_sender: bool = False
    explicitly_privilege_room_creators: bool = False
    additional_room_creators: bool = False
    room_create_event_id_as_room_id: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class RoomVersionRules:
    """All that depends on a room's version.

    Attributes:
        version: as in `content.room_version`.
        event_id_format: how events are named.
        event_references_are_pairs: `prev_events` and `auth_events` hold `[event_id, hashes]`, not only IDs.
        state_resolution: the algorithm.
        strict_canonical_json: floats and integers beyond 2^53 - 1 make an event invalid.
        enforce_key_validity: a signing key must be valid at `origin_server_ts`.
        redaction: what a redaction leaves.
        authorization: what event authorization depends on.
        room_id_is_create_event_id: the room ID is the create event's ID with the sigil `!`.
    """

    version: str
    event_id_format: EventIdFormat
    event_references_are_pairs: bool
    state_resolution: StateResolution
    strict_canonical_json: bool
    enforce_key_validity: bool
    redaction: RedactionRules
    authorization: AuthorizationRules
    room_id_is_create_event_id: bool = False

    def __repr__(self) -> str:
        return f"<RoomVersionRules {self.version}>"


def _content(
    base: Mapping[str, frozenset[str] | None], **changes: frozenset[str] | None
) -> Mapping[str, frozenset[str] | None]:
    """Replace entries, named without their `m.room.` prefix, in a table of content keys that stay."""
    return MappingProxyType({**base, **{f"m.room.{name}": keys for name, keys in changes.items()}})


_NO_KEYS: frozenset[str] = frozenset()

_POWER_LEVEL_KEYS = frozenset(
    ("ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default")
)

_REDACTION_V1 = RedactionRules(
    top_level=frozenset(
        (
            "event_id", "type", "room_id", "sender", "state_key", "content", "hashes", "signatures", "depth",
            "prev_events", "prev_state", "auth_events", "origin", "origin_server_ts", "membership",
        )
    ),
    content=_content(
        {},
        member=frozenset(("membership",)),
        create=frozenset(("creator",)),
        join_rules=frozenset(("join_rule",)),
        power_levels=_POWER_LEVEL_KEYS,
        aliases=frozenset(("aliases",)),
        history_visibility=frozenset(("history_visibility",)),
    ),
)  # fmt: skip
_REDACTION_V6 = replace(_REDACTION_V1, content=_content(_REDACTION_V1.content, aliases=_NO_KEYS))
_REDACTION_V8 = replace(
    _REDACTION_V6, content=_content(_REDACTION_V6.content, join_rules=frozenset(("join_rule", "allow")))
)
_REDACTION_V9 = replace(
    _REDACTION_V8,
    content=_content(
        _REDACTION_V8.content, member=frozenset(("membership", "join_authorised_via_users_server"))
    ),
)
_REDACTION_V11 = replace(
    _REDACTION_V9,
    top_level=_REDACTION_V9.top_level - {"origin", "membership", "prev_state"},
    content=_content(
        _REDACTION_V9.content,
        create=None,
        redaction=frozenset(("redacts",)),
        power_levels=_POWER_LEVEL_KEYS | {"invite"},
    ),
    member_third_party_invite_signed=True,
    redacts_in_content=True,
)

_V1 = RoomVersionRules(
    version="1",
    event_id_format=EventIdFormat.DOMAIN,
    event_references_are_pairs=True,
    state_resolution=StateResolution.V1,
    strict_canonical_json=False,
    enforce_key_validity=False,
    redaction=_REDACTION_V1,
    authorization=AuthorizationRules(),
)
_V2 = replace(_V1, version="2", state_resolution=StateResolution.V2)
_V3 = replace(
    _V2,
    version="3",
    event_id_format=EventIdFormat.BASE64,
    event_references_are_pairs=False,
    authorization=replace(_V2.authorization, special_case_room_redaction=False),
)
_V4 = replace(_V3, version="4", event_id_format=EventIdFormat.URL_SAFE_BASE64)
_V5 = replace(_V4, version="5", enforce_key_validity=True)
_V6 = replace(
    _V5,
    version="6",
    strict_canonical_json=True,
    redaction=_REDACTION_V6,
    authorization=replace(
        _V5.authorization, special_case_aliases_auth=False, limit_notifications_power_levels=True
    ),
)
_V7 = replace(_V6, version="7", authorization=replace(_V6.authorization, knocking=True))
_V8 = replace(
    _V7,
    version="8",
    redaction=_REDACTION_V8,
    authorization=replace(_V7.authorization, restricted_join_rule=True),
)
_V9 = replace(_V8, version="9", redaction=_REDACTION_V9)
_V10 = replace(
    _V9,
    version="10",
    authorization=replace(_V9.authorization, knock_restricted_join_rule=True, integer_power_levels=True),
)
_V11 = replace(
    _V10,
    version="11",
    redaction=_REDACTION_V11,
    authorization=replace(_V10.authorization, use_room_create_sender=True),
)
_V12 = replace(
    _V11,
    version="12",
    state_resolution=StateResolution.V2_1,
    authorization=replace(
        _V11.authorization,
        explicitly_privilege_room_creators=True,
        additional_room_creators=True,
        room_create_event_id_as_room_id=True,
    ),
    room_id_is_create_event_id=True,
)

ROOM_VERSIONS: Mapping[str, RoomVersionRules] = MappingProxyType(
    {rules.version: rules for rules in (_V1, _V2, _V3, _V4, _V5, _V6, _V7, _V8, _V9, _V10, _V11, _V12)}
)


def rules_for(version: str) -> RoomVersionRules | None:
    """Look up the rules of a room version; None for one that this server does not have."""
    return ROOM_VERSIONS.get(version)
