"""The house is as its papers say: packages, modules, versions, changelog."""

import ast
import configparser
import re
import tomllib

from homeserver.app.version import VERSION


def test_every_package_is_named_in_setup_cfg(root, ours):
    written = configparser.ConfigParser()
    written.read(root / "setup.cfg", "utf-8")
    named = set(written["options"]["packages"].split())
    # A package without a module is a place kept for the architecture.
    present = {source.module for source in ours if source.path.endswith("/__init__.py")}

    assert present == named


def test_packages_hold_a_docstring_and_nothing_else(ours):
    busy = [
        source.path
        for source in ours
        if source.path.endswith("__init__.py")
        and not (len(source.tree.body) == 1 and ast.get_docstring(source.tree))
    ]

    assert busy == []


def test_the_code_map_names_every_module(root, ours):
    page = (root / "docs" / "architecture.md").read_text("utf-8")
    mapped = set(re.findall(r"`([a-z_0-9./]+)`", page))
    modules = {source.path for source in ours if not source.path.endswith("__init__.py")}
    missing = sorted(modules - mapped)

    assert missing == []


def test_the_code_map_names_no_module_that_is_gone(root, ours):
    page = (root / "docs" / "architecture.md").read_text("utf-8")
    present = {source.path for source in ours}
    mapped = set(re.findall(r"`((?:homeserver|storage|federation|clients)/[a-z_0-9/]+\.py)`", page))

    assert mapped - present == set()


def test_the_code_map_names_each_module_once_and_in_order(root):
    page = (root / "docs" / "architecture.md").read_text("utf-8")
    for section in page.partition("<!-- the code map -->")[2].split("\n### "):
        lines = re.findall(r"^- `([a-z]+)/([a-z_0-9/]+\.py)`", section, re.MULTILINE)
        for package in {package for package, _ in lines}:
            modules = [module for each, module in lines if each == package]

            assert modules == sorted(set(modules)), f"{package}, in {section.partition(chr(10))[0]}"


def test_the_version_is_said_once(root):
    assert tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"] == VERSION


def test_names_of_tests_are_unique(sources):
    names = [source.path.rpartition("/")[2] for source in sources if source.path.startswith("tests/")]
    tests = [name for name in names if name.startswith("test_")]

    assert sorted(tests) == sorted(set(tests))


def test_changelog_fragments_have_a_number_and_a_kind(root):
    fragments = [path.name for path in (root / "changelog.d").iterdir() if path.name != "README.md"]

    kinds = "feature|bugfix|doc|removal|misc"
    assert [name for name in fragments if not re.fullmatch(rf"\d+[a-z0-9-]*\.({kinds})\.md", name)] == []
