"""Random histories in which all happens that a sync tells of rooms: knocks, receipts, forgetting …"""

from tests.sync.sliding_world import SlidingWorld
from tests.sync.sync_client import Client
from tests.sync.sync_run import ROOMS, USERS, Run, check_against_the_truth, check_state

GONE = {"ban", "leave"}
NEXT = {
    None: ["join", "invite", "knock"],
    "leave": ["join", "invite", "knock", "ban"],
    "join": ["leave", "leave", "ban"],
    "invite": ["join", "leave", "ban"],
    "knock": ["join", "invite", "leave", "ban"],
    "ban": ["leave"],
}


class WholeRun(Run):
    """One random history, followed by one client for each user, which asks also for rooms that were left."""

    def __init__(self, seed, world=None, *, can_forget=True, **options):
        super().__init__(seed, world or SlidingWorld(), **options)
        self.include_leave = True
        self.actions += [self.read, self.tag] + [self.forget] * can_forget

    async def membership(self):
        room_id, user_id = self.random.choice(ROOMS), self.random.choice(USERS)
        if room_id not in self.world.committed:
            await super().membership()
            return
        membership = self.random.choice(NEXT[self.world.membership(room_id, user_id)])
        others = [each for each in USERS if self.world.membership(room_id, each) == "join"]
        if user_id in others:
            others.remove(user_id)
        if membership in {"ban", "invite"} and not others:
            return  # it takes somebody who is there
        is_kicked = membership == "leave" and others and self.random.random() < 0.3
        by_others = is_kicked or membership in {"ban", "invite"}
        self.world.member(room_id, user_id, membership, self.random.choice(others) if by_others else user_id)

    async def read(self):
        room_id, user_id = self.some_member()
        if user_id is not None:
            event_id = self.random.choice(self.world.event_ids(room_id)[-3:])
            type_ = self.random.choice(["m.read", "m.read.private"])
            self.world.read_up_to(room_id, user_id, event_id, type_)

    async def tag(self):
        content = self.random.choice([{"tags": {}}, {"tags": {"u.work": {"order": self.random.random()}}}])
        self.world.keep(self.random.choice(USERS), "m.tag", content, self.random.choice(ROOMS))

    async def forget(self):
        room_id, user_id = self.random.choice(ROOMS), self.random.choice(USERS)
        if self.world.membership(room_id, user_id) in GONE:
            self.world.forget(room_id, user_id)

    def rooms_with(self, user_id, *memberships):
        """The rooms in which a user has one of these memberships."""
        return {room_id for room_id in ROOMS if self.world.membership(room_id, user_id) in memberships}

    def ignored(self, user_id):
        """Those whom a user does not want to hear."""
        ignored = self.world.kept(user_id).get("m.ignored_user_list", {"ignored_users": {}})["ignored_users"]
        return set(ignored) - {user_id}

    def hidden(self, user_id):
        """The rooms that a user is invited to by somebody whom they ignore: nothing is told of them."""
        return {
            room_id
            for room_id in self.rooms_with(user_id, "invite")
            if self.world.member_event(room_id, user_id).sender in self.ignored(user_id)
        }


async def check_whole(run):
    """Initial sync now = older initial sync + increments: of joined, offered and left rooms, and receipts."""
    for user_id in USERS:
        await run.follow(user_id)
        old, fresh = run.clients[user_id], Client()
        fresh.apply(await run.ask(user_id, None, session_id=2))
        hidden, out = run.hidden(user_id), run.rooms_with(user_id, *GONE)
        # Who knocked or was invited, and is invited now by somebody whom they ignore, is not told.
        old.invited -= hidden
        old.knocked -= hidden
        assert fresh.invited == old.invited == run.rooms_with(user_id, "invite") - hidden
        assert fresh.knocked == old.knocked == run.rooms_with(user_id, "knock")
        forgotten = {room_id for room_id in out if (room_id, user_id) in run.world.forgotten}
        assert fresh.left.keys() == out - forgotten
        assert old.left.keys() <= out | hidden
        for room_id in fresh.left.keys() & old.left.keys():
            check_left(run, fresh.left[room_id], old.left[room_id])
        for room_id, room in fresh.joined.items():
            told = {
                (type_, reader): each.event_id
                for (where, reader, type_), each in run.world.receipts.items()
                if where == room_id and (type_ == "m.read" or reader == user_id)
            }
            assert room.receipts == old.joined[room_id].receipts == told
            check_state(run, room, run.world.state(room_id))
        old.invited |= hidden  # as it counts who ignores nobody
        check_against_the_truth(run, user_id)
    await run.disconnect()
    run.world.stop()


def check_left(run, fresh, old):
    """A client that knew the room whole has the state in which its user left it."""
    if old.is_whole and not run.is_lazy:
        assert fresh.state == old.state
    # An initial sync ends with what became of the user last, without what did before, once they were out.
    assert fresh.timeline[-1:] == old.timeline[-1:]
    told = [each for each in fresh.timeline if each in old.timeline]
    assert told == [each for each in old.timeline if each in fresh.timeline]
