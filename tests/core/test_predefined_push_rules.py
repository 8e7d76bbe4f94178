from homeserver.core.push_rules.predefined import predefined_ruleset


def test_every_predefined_rule_is_there_in_the_order_of_the_specification():
    ruleset = predefined_ruleset("@alice:localhost")

    assert [rule["rule_id"] for rule in ruleset["override"]] == [
        ".m.rule.master",
        ".m.rule.suppress_notices",
        ".m.rule.invite_for_me",
        ".m.rule.member_event",
        ".m.rule.is_user_mention",
        ".m.rule.is_room_mention",
        ".m.rule.tombstone",
        ".m.rule.reaction",
        ".m.rule.room.server_acl",
        ".m.rule.suppress_edits",
    ]
    assert [rule["rule_id"] for rule in ruleset["underride"]] == [
        ".m.rule.call",
        ".m.rule.encrypted_room_one_to_one",
        ".m.rule.room_one_to_one",
        ".m.rule.message",
        ".m.rule.encrypted",
    ]
    assert [rule["rule_id"] for rule in ruleset["postcontent"]] == [
        ".io.element.msc4306.rule.unsubscribed_thread",
        ".io.element.msc4306.rule.subscribed_thread",
    ]
    assert list(ruleset) == ["override", "content", "postcontent", "room", "sender", "underride"]
    assert ruleset["content"] == ruleset["room"] == ruleset["sender"] == []


def test_only_the_master_rule_is_off():
    ruleset = predefined_ruleset("@alice:localhost")
    rules = [rule for kind in ruleset.values() for rule in kind]

    assert [rule["rule_id"] for rule in rules if not rule["enabled"]] == [".m.rule.master"]
    assert all(rule["default"] for rule in rules)


def test_the_rules_name_their_user():
    override = {rule["rule_id"]: rule for rule in predefined_ruleset("@alice:localhost")["override"]}

    assert override[".m.rule.is_user_mention"]["conditions"][0]["value"] == "@alice:localhost"
    assert override[".m.rule.invite_for_me"]["conditions"][2]["pattern"] == "@alice:localhost"


def test_messages_in_threads_notify_those_who_follow_them():
    unsubscribed, subscribed = predefined_ruleset("@alice:localhost")["postcontent"]

    kind = "io.element.msc4306.thread_subscription"
    assert unsubscribed["conditions"] == [{"kind": kind, "subscribed": False}]
    assert unsubscribed["actions"] == []
    assert subscribed["conditions"] == [{"kind": kind, "subscribed": True}]
    assert subscribed["actions"] == ["notify", {"set_tweak": "sound", "value": "default"}]
