"""The version of this software, as clients, logs and the command line are told."""

__all__ = ["VERSION"]

VERSION = "0.1.0"
"""The same as in `pyproject.toml`; a test compares them. Reading installed metadata would slow the start."""
