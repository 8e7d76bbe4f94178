import pytest

from homeserver.core.content.invite_permission import blocks_invites_in


def test_block_is_the_one_action_that_blocks():
    assert blocks_invites_in({"default_action": "block", "other": 1}) is True


@pytest.mark.parametrize("content", [None, {}, {"default_action": "allow"}, {"default_action": ["block"]}])
def test_anything_else_lets_everybody_invite(content):
    assert blocks_invites_in(content) is False
