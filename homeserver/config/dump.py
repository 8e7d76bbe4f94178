"""Write a configuration as TOML, with the meaning of each key where asked."""

import dataclasses
import json
from typing import Any

from homeserver.config.keys import key_of
from homeserver.config.model import Configuration

__all__ = ["dump"]

HIDDEN = "(hidden)"


def dump(configuration: Configuration, *, meanings: bool = False, secrets: bool = False) -> str:
    """Write every key with its value.

    Args:
        configuration: what to write.
        meanings: add a comment to each key.
        secrets: write secrets out; else they are `(hidden)`.
    """
    lines: list[str] = []
    _section(configuration, "", lines, meanings=meanings, secrets=secrets)
    return "\n".join(lines).strip() + "\n"


def _section(one: Any, path: str, lines: list[str], *, meanings: bool, secrets: bool) -> None:
    later = []
    for each in dataclasses.fields(one):
        value = getattr(one, each.name)
        known = key_of(each)
        if dataclasses.is_dataclass(value):
            later.append((path + each.name, f"[{path}{each.name}]", value))
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            later.extend((path + each.name, f"[[{path}{each.name}]]", entry) for entry in value)
        else:
            shown = HIDDEN if known.secret and value and not secrets else value
            comment = f"  # {known.meaning}" if meanings else ""
            lines.append(f"{each.name} = {_toml(shown)}{comment}")
    for inner, title, value in later:
        lines.extend(("", title))
        _section(value, inner + ".", lines, meanings=meanings, secrets=secrets)


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # a JSON string is a TOML basic string
    return str(value).lower()
