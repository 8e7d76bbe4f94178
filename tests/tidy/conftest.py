"""The source as these tests read it."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("homeserver", "storage", "federation", "clients")


@dataclass(frozen=True)
class Source:
    """One Python file."""

    path: str
    text: str
    tree: ast.Module

    @property
    def module(self):
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def is_ours(self):
        """Whether it is the server's, not a test."""
        return not self.path.startswith("tests/")


@cache
def _sources():
    files = [path for folder in (*PACKAGES, "tests") for path in sorted((ROOT / folder).rglob("*.py"))]
    texts = [(path, path.read_text("utf-8")) for path in files if "node_modules" not in path.parts]
    return tuple(Source(str(path.relative_to(ROOT)), text, ast.parse(text)) for path, text in texts)


@pytest.fixture(scope="session")
def sources():
    return _sources()


@pytest.fixture(scope="session")
def ours(sources):
    return [source for source in sources if source.is_ours]


@pytest.fixture(scope="session")
def root():
    return ROOT
