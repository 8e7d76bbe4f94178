"""The server-default push rules.

Spec: https://spec.matrix.org/v1.19/client-server-api/#predefined-rules
"""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["predefined_ruleset"]

Rule = dict[str, Any]
Condition = Mapping[str, Any]

_HIGHLIGHT: Mapping[str, Any] = {"set_tweak": "highlight"}
_SILENT: Sequence[Any] = ()


def _sound(value: str) -> Mapping[str, Any]:
    return {"set_tweak": "sound", "value": value}


def _match(key: str, pattern: str) -> Condition:
    return {"kind": "event_match", "key": key, "pattern": pattern}


def _rule(
    rule_id: str, conditions: Sequence[Condition], actions: Sequence[Any], *, enabled: bool = True
) -> Rule:
    return {
        "rule_id": rule_id,
        "default": True,
        "enabled": enabled,
        "conditions": list(conditions),
        "actions": list(actions),
    }


def _override(user_id: str) -> list[Rule]:
    invite = [_match("type", "m.room.member"), _match("content.membership", "invite")]
    mentioned: Condition = {
        "kind": "event_property_contains",
        "key": r"content.m\.mentions.user_ids",
        "value": user_id,
    }
    room_mentioned: list[Condition] = [
        {"kind": "event_property_is", "key": r"content.m\.mentions.room", "value": True},
        {"kind": "sender_notification_permission", "key": "room"},
    ]
    edit: Condition = {
        "kind": "event_property_is",
        "key": r"content.m\.relates_to.rel_type",
        "value": "m.replace",
    }
    sound = _sound("default")
    return [
        _rule(".m.rule.master", [], _SILENT, enabled=False),
        _rule(".m.rule.suppress_notices", [_match("content.msgtype", "m.notice")], _SILENT),
        _rule(".m.rule.invite_for_me", [*invite, _match("state_key", user_id)], ["notify", sound]),
        _rule(".m.rule.member_event", [_match("type", "m.room.member")], _SILENT),
        _rule(".m.rule.is_user_mention", [mentioned], ["notify", sound, _HIGHLIGHT]),
        _rule(".m.rule.is_room_mention", room_mentioned, ["notify", _HIGHLIGHT]),
        _rule(
            ".m.rule.tombstone",
            [_match("type", "m.room.tombstone"), _match("state_key", "")],
            ["notify", _HIGHLIGHT],
        ),
        _rule(".m.rule.reaction", [_match("type", "m.reaction")], _SILENT),
        _rule(
            ".m.rule.room.server_acl", [_match("type", "m.room.server_acl"), _match("state_key", "")], _SILENT
        ),
        _rule(".m.rule.suppress_edits", [edit], _SILENT),
    ]


def _underride() -> list[Rule]:
    two_members: Condition = {"kind": "room_member_count", "is": "2"}
    encrypted, message = _match("type", "m.room.encrypted"), _match("type", "m.room.message")
    sound = ["notify", _sound("default")]
    return [
        _rule(".m.rule.call", [_match("type", "m.call.invite")], ["notify", _sound("ring")]),
        _rule(".m.rule.encrypted_room_one_to_one", [two_members, encrypted], sound),
        _rule(".m.rule.room_one_to_one", [two_members, message], sound),
        _rule(".m.rule.message", [message], ["notify"]),
        _rule(".m.rule.encrypted", [encrypted], ["notify"]),
    ]


def _postcontent() -> list[Rule]:
    """Messages in threads notify those who follow the thread, and nobody else, whatever the room's rule says.

    Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/4306
    """
    kind = "io.element.msc4306.thread_subscription"
    unsubscribed: Condition = {"kind": kind, "subscribed": False}
    subscribed: Condition = {"kind": kind, "subscribed": True}
    return [
        _rule(".io.element.msc4306.rule.unsubscribed_thread", [unsubscribed], _SILENT),
        _rule(".io.element.msc4306.rule.subscribed_thread", [subscribed], ["notify", _sound("default")]),
    ]


def predefined_ruleset(user_id: str) -> dict[str, list[Rule]]:
    """The rules that a user has before changing any, by kind, in order of priority."""
    return {
        "override": _override(user_id),
        "content": [],
        "postcontent": _postcontent(),
        "room": [],
        "sender": [],
        "underride": _underride(),
    }
