import asyncio

from homeserver.accounts.heeded_account_data import HeededAccountData
from homeserver.core.changes import AccountDataChange

ALICE, BOB, CAROL = "@alice:example.org", "@bob:example.org", "@carol:example.org"
LIST = "m.ignored_user_list"


def listed(*user_ids):
    return b'{"ignored_users":{%b}}' % b",".join(b'"%b":{}' % user_id.encode() for user_id in user_ids)


class Rows:
    """Answers the one question that is asked of the database."""

    def __init__(self, content):
        self.content = content
        self.questions = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def fetch_one(self, statement, *parameters):
        self.questions += 1
        content = self.content
        await self.go_on.wait()
        return None if content is None else (content,)


async def test_the_list_is_read_once():
    rows = Rows(listed(BOB))
    ignored = HeededAccountData(rows)

    assert await ignored.ignored_by(ALICE) == {BOB}
    assert await ignored.ignored_by(ALICE) == {BOB}
    assert rows.questions == 1
    rows.content = None
    assert await ignored.ignored_by(CAROL) == frozenset()
    assert await ignored.ignored_by(CAROL) == frozenset()
    assert rows.questions == 2


async def test_a_change_takes_effect_at_once():
    ignored = HeededAccountData(Rows(None))
    assert await ignored.ignored_by(ALICE) == frozenset()

    ignored.take_in([AccountDataChange(1, ALICE, None, LIST, listed(BOB, CAROL))])
    assert await ignored.ignored_by(ALICE) == {BOB, CAROL}
    ignored.take_in([AccountDataChange(2, ALICE, "!room:example.org", LIST, listed())])
    ignored.take_in([AccountDataChange(3, ALICE, None, "m.direct", listed())])
    ignored.take_in([AccountDataChange(4, BOB, None, LIST, listed())])
    assert await ignored.ignored_by(ALICE) == {BOB, CAROL}

    ignored.take_in([AccountDataChange(5, ALICE, None, LIST, None)])
    assert await ignored.ignored_by(ALICE) == frozenset()


async def test_a_change_that_comes_while_the_old_list_is_read_is_what_counts():
    rows = Rows(listed(BOB))
    ignored = HeededAccountData(rows)
    rows.go_on.clear()
    question = asyncio.create_task(ignored.ignored_by(ALICE))
    await asyncio.sleep(0)

    ignored.take_in([AccountDataChange(1, ALICE, None, LIST, listed(CAROL))])
    rows.go_on.set()

    assert await question == {CAROL}
    assert await ignored.ignored_by(ALICE) == {CAROL}


async def test_who_blocks_invites_is_known_as_well():
    rows = Rows(b'{"default_action":"block"}')
    heeded = HeededAccountData(rows)

    assert await heeded.blocks_invites(ALICE) is True
    heeded.take_in([AccountDataChange(1, ALICE, None, "m.invite_permission_config", b"{}")])
    assert await heeded.blocks_invites(ALICE) is False
    assert await heeded.blocks_invites(ALICE) is False
    assert rows.questions == 1


async def test_so_much_is_remembered_and_no_more():
    rows = Rows(listed(BOB))
    heeded = HeededAccountData(rows, users_max=2)

    for user_id in (ALICE, CAROL, "@dave:example.org", CAROL, ALICE):
        assert await heeded.ignored_by(user_id) == {BOB}
    assert rows.questions == 4


async def test_who_of_many_ignores_somebody_is_asked_in_one_question():
    class Several(Rows):
        async def fetch(self, statement, user_ids, type_):
            self.questions += 1
            await self.go_on.wait()
            return [(user_id, self.content) for user_id in user_ids if user_id != CAROL]

    rows = Several(listed(BOB))
    ignored = HeededAccountData(rows)
    assert await ignored.ignoring(BOB, [ALICE, CAROL]) == {ALICE}
    assert await ignored.ignoring(CAROL, [ALICE, CAROL]) == set()
    assert rows.questions == 1
    rows.go_on.clear()
    question = asyncio.create_task(ignored.ignoring(ALICE, [BOB]))
    await asyncio.sleep(0)
    ignored.take_in([AccountDataChange(1, BOB, None, LIST, listed(ALICE))])  # newer than what is being read
    rows.go_on.set()

    assert await question == {BOB}
