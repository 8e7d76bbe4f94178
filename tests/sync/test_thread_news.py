"""Which threads a user began or ceased to follow lately."""

from homeserver.core.changes import ThreadSubscriptionChange
from homeserver.core.positions import SyncToken, make
from homeserver.sync.thread_news import ENTRIES_MAX, ThreadNews

START_MS = 1_760_000_000_000


def position(number, writer=0):
    return make(START_MS + number, writer, 0)


def changed(number, root_id, writer=0):
    return ThreadSubscriptionChange(
        position(number, writer), "@alice:a", "!room:a", root_id, is_subscribed=True, is_automatic=False
    )


def at(number, writer=0):
    return SyncToken().advance(position(number, writer))


def roots(changes):
    return [change.root_id for change in changes]


def test_nothing_is_told_while_nothing_changes():
    news = ThreadNews(at(0))
    assert news.after(at(0)) == ()
    assert news.after(at(5)) == ()
    assert news.after(SyncToken()) is None


def test_the_last_change_of_each_thread_is_told_newest_first():
    news = ThreadNews(at(0))
    for number, root_id in ((1, "$a"), (2, "$b"), (3, "$a")):
        news.take_in(changed(number, root_id))
    assert roots(news.after(at(0))) == ["$a", "$b"]
    assert roots(news.after(at(2))) == ["$a"]
    assert news.after(at(3)) == ()


def test_what_another_writer_wrote_is_told_by_its_own_place():
    news = ThreadNews(at(0).advance(position(0, 1)))
    news.take_in(changed(5, "$a"))
    news.take_in(changed(3, "$b", writer=1))
    assert roots(news.after(at(5).advance(position(0, 1)))) == ["$b"]


def test_it_says_where_its_knowledge_ends():
    news = ThreadNews(at(0))
    for number in range(1, ENTRIES_MAX + 1):
        news.take_in(changed(number, f"${number}"))
    assert len(news.after(at(0))) == ENTRIES_MAX
    news.take_in(changed(ENTRIES_MAX + 1, "$one more"))
    assert news.after(at(0)) is None
    assert len(news.after(at(1))) == ENTRIES_MAX
