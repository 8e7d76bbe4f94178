"""matrix-nio, matrix-js-sdk on /sync and on sliding sync, and our WebSocket client know the same in the end.

SAME_VIEW_SEEDS says how many worlds, SAME_VIEW_FIRST with which to begin; `make same-view` sets them.
"""

import os

import pytest

from tests.scenarios.same_view.scenario import live_through

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(180)]

FIRST, SEEDS = int(os.environ.get("SAME_VIEW_FIRST", "1")), int(os.environ.get("SAME_VIEW_SEEDS", "2"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
async def test_all_clients_of_a_user_know_the_same(seed, server_of_module, interop_python, tmp_path):
    done = await live_through(seed, server_of_module, interop_python, tmp_path)

    assert done > 80
