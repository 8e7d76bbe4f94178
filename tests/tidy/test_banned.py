"""What may be used in its one home only, and words that say nothing."""

import ast
import re

import pytest

HOMES = {
    "time.time": {"homeserver.runtime.clock"},
    "time.time_ns": {"homeserver.runtime.clock", "clients.load"},
    "time.monotonic": {"homeserver.runtime.clock", "clients.load", "clients.demo"},
    "time.monotonic_ns": {"homeserver.runtime.clock"},
    "time.sleep": {"clients.load", "clients.demo"},
    "datetime.now": set(),
    "datetime.utcnow": set(),
    "datetime.datetime.now": set(),
    "secrets.token_bytes": {"homeserver.runtime.randomness"},
    "secrets.token_hex": {"homeserver.runtime.randomness"},
    "secrets.token_urlsafe": {"homeserver.runtime.randomness", "homeserver.app.commands"},
    "os.urandom": {"homeserver.runtime.randomness"},
    "uuid.uuid4": set(),
    "print": set(),
}
"""Calls, and the modules (or packages) that may make them; the command line writes with typer.echo."""

WORDS = re.compile(r"(^|_)(manager|handler|helper|util|utils|misc|common|processor|engine)s?(_|$)")
SPEC_LINK = re.compile(r"https?://(?:spec\.)?matrix\.org/(?:docs/spec|(?P<version>[^/\s)>\"'`]+)/[a-z-]*api)")
SPEC_VERSION = "v1.19"


def is_at_home(module, homes):
    return any(module == home or module.startswith(home + ".") for home in homes)


@pytest.mark.parametrize("call", HOMES)
def test_a_banned_call_is_made_in_its_home_only(ours, call):
    strangers = [
        f"{source.path}:{node.lineno}"
        for source in ours
        if not is_at_home(source.module, HOMES[call])
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == call
    ]

    assert strangers == []


def test_chance_comes_from_the_operating_system(ours):
    users = [
        source.path
        for source in ours
        if not is_at_home(source.module, {"clients.load"}) and "random" in imports_of(source)
    ]

    assert users == []


def test_core_does_no_io(ours):
    io = {"asyncio", "os", "socket", "subprocess", "time", "random", "secrets", "threading", "pathlib",
          "twisted", "psycopg", "structlog", "logging"}  # fmt: skip
    guilty = {
        source.path: imports_of(source) & io
        for source in ours
        if source.module.startswith("homeserver.core") and imports_of(source) & io
    }

    assert guilty == {}


def imports_of(source):
    """The top-level packages that a module imports."""
    names = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            names |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_names_of_modules_say_what_they_are(sources):
    assert [source.path for source in sources if any(map(WORDS.search, source.module.split(".")))] == []


def test_names_of_classes_say_what_they_are(ours):
    vague = [
        f"{source.path}:{node.lineno} {node.name}"
        for source in ours
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
        and re.search(r"(Manager|Handler|Helper|Util|Utils|Processor|Engine)$", node.name)
        # A name that the library we extend gives to what we extend.
        and not any("Handler" in ast.unparse(base) for base in node.bases)
    ]

    assert vague == []


def test_links_to_the_specification_carry_its_version(sources):
    stale = [
        f"{source.path}: {found[0]}"
        for source in sources
        for found in SPEC_LINK.finditer(source.text)
        if found["version"] != SPEC_VERSION
    ]

    assert stale == []


def test_every_suppression_names_its_code_and_its_reason(ours):
    bare = re.compile(r"#\s*(?:noqa(?!: [A-Z]+[0-9]+)|type:\s*ignore(?!\[))")

    assert [source.path for source in ours if bare.search(source.text)] == []
