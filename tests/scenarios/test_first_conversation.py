"""The main job: a stranger starts the server, and two people chat through clients that we did not write."""

import asyncio
from pathlib import Path

import pytest

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(200)]

_HERE = Path(__file__).parent


async def test_two_nio_clients_exchange_500_messages_each_way_at_once(server, interop_python, run_client):
    said = await run_client(interop_python, str(_HERE / "nio" / "two_people.py"), server.base_url, "500")

    assert "1000 messages, the same order for both" in said


async def test_two_nio_clients_go_on_after_kill_minus_nine(server, interop_python, run_client):
    async def kill_in_the_middle(line):
        if line == "acknowledged alice 150\n":
            server.kill()
            await asyncio.to_thread(server.start)

    said = await run_client(
        interop_python, str(_HERE / "nio" / "two_people.py"), server.base_url, "300", watch=kill_in_the_middle
    )

    assert "600 messages, the same order for both" in said


async def test_matrix_js_sdk_logs_in_syncs_sends_and_receives(server, run_client):
    assert (_HERE / "js" / "node_modules").exists(), "Run `make scenarios`, which installs matrix-js-sdk."

    said = await run_client("node", "two_people.mjs", server.base_url, "50", cwd=_HERE / "js")

    assert "100 messages, the same order for both" in said


async def test_matrix_js_sdk_finds_edits_threads_and_reactions_as_they_were_left(server, run_client):
    said = await run_client("node", "relations.mjs", server.base_url, cwd=_HERE / "js")

    assert "edits, threads and reactions are as they were left" in said


async def test_matrix_js_sdk_on_sliding_sync_sees_what_one_on_sync_sees(server, run_client):
    said = await run_client("node", "sliding.mjs", server.base_url, "20", cwd=_HERE / "js")

    assert "40 messages, name, tags, typing and receipts are the same on sliding sync" in said
