import pytest

from homeserver.http.response import json_list


@pytest.mark.parametrize(
    ("items", "body"),
    [([], b'{"chunk":[]}'), ([b"1"], b'{"chunk":[1]}'), ([b"1", b"2,3", b"4"], b'{"chunk":[1,2,3,4]}')],
)
def test_items_are_put_inside(items, body):
    given = list(items)

    assert json_list(b'{"chunk":[', items, b"]}") == body
    assert items == given
