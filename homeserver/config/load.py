"""Read the configuration: one TOML file, all of it optional, then the environment."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from homeserver.config.model import Configuration
from homeserver.config.parse import ConfigurationError, Mistake, apply_environment, parse

__all__ = ["load"]


def load(file: Path | None, environment: Mapping[str, str]) -> Configuration:
    """Read `file`, lay the environment over it and check the whole.

    Without a file this is a server for one machine: it listens on loopback only, and lets anyone register.

    Raises:
        ConfigurationError: with every mistake.
    """
    given = apply_environment(_read(file), environment)
    if file is None:
        given.setdefault("registration", {})
        if isinstance(given["registration"], dict) and _is_loopback_only(given):
            given["registration"].setdefault("mode", "open")
    return parse(given)


def _read(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([Mistake(str(file), str(error), "a readable file")]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            [Mistake(str(file), str(error), "TOML", 'server_name = "example.org"')]
        ) from None


def _is_loopback_only(given: Mapping[str, Any]) -> bool:
    listeners = given.get("listeners", [])
    if not isinstance(listeners, list):
        return False
    addresses = [one.get("address", "127.0.0.1") for one in listeners if isinstance(one, dict)]
    return all(address == "::1" or str(address).startswith("127.") for address in addresses)
