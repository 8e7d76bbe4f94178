"""From what a file and the environment say to a `Configuration`, or to every mistake at once."""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from homeserver.config.keys import key_of
from homeserver.config.model import Configuration, RetentionSection
from homeserver.config.regions import region_mistakes
from homeserver.config.sign_in import sign_in_mistakes
from homeserver.config.support import support_mistakes

__all__ = ["ENVIRONMENT_PREFIX", "ConfigurationError", "Mistake", "apply_environment", "parse"]

ENVIRONMENT_PREFIX = "ISTHMUS_"
_NAMES = {str: "a text", int: "an integer", float: "a number", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, and how it would be right."""

    key: str
    found: str
    expected: str
    example: str = ""

    def __str__(self) -> str:
        example = f", for example {self.example}" if self.example else ""
        return f"{self.key}: found {self.found}; expected {self.expected}{example}"


class ConfigurationError(Exception):
    """Everything that is wrong with a configuration."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


def parse(given: Mapping[str, Any]) -> Configuration:
    """Check what a file says and fill in the defaults.

    Raises:
        ConfigurationError: with all mistakes, in the order of the keys.
    """
    mistakes: list[Mistake] = []
    made = _section(Configuration(), given, "", mistakes)
    if not mistakes:
        mistakes = _contradictions(made)
    if mistakes:
        raise ConfigurationError(mistakes)
    configuration: Configuration = made
    return configuration


def apply_environment(given: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Lay `ISTHMUS_SECTION__KEY=value` over what a file says. Values are TOML, or else plain text.

    Raises:
        ConfigurationError: a variable does not fit into the file's structure.
    """
    merged = _copy(given)
    mistakes = []
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        path = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        place: Any = merged
        for step in path[:-1]:
            place = place.setdefault(step, {}) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[path[-1]] = _value_of(environment[name], _type_at(path))
        else:
            mistakes.append(Mistake(name, "a variable inside of a value", "the name of a key"))
    if mistakes:
        raise ConfigurationError(mistakes)
    return merged


def _copy(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _copy(value) if isinstance(value, dict) else value for name, value in given.items()}


def _type_at(path: list[str]) -> Any:
    kind: Any = Configuration
    for step in path:
        kind = get_type_hints(kind).get(step) if is_dataclass(kind) else None
    return kind


def _value_of(text: str, kind: Any) -> Any:
    if kind is str or get_origin(kind) is Literal:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _section(defaults: Any, given: Any, path: str, mistakes: list[Mistake]) -> Any:
    """Lay what is given over a section's defaults."""
    if not isinstance(given, Mapping):
        mistakes.append(Mistake(path.rstrip("."), repr(given), "a section with keys"))
        return defaults
    hints = get_type_hints(type(defaults))
    fields = {each.name: each for each in dataclasses.fields(defaults)}
    mistakes.extend(
        Mistake(path + name, "a key that does not exist", "one of " + ", ".join(fields))
        for name in given
        if name not in fields
    )
    values = {}
    for name, each in fields.items():
        if name in given:
            old = getattr(defaults, name)
            if is_dataclass(old):
                values[name] = _section(old, given[name], f"{path}{name}.", mistakes)
            else:
                values[name] = _value(hints[name], each, given[name], path + name, mistakes)
    return dataclasses.replace(defaults, **values)


def _value(kind: Any, each: "dataclasses.Field[Any]", found: Any, path: str, mistakes: list[Mistake]) -> Any:
    known = key_of(each)
    value, expected = _typed(kind, found, path, mistakes)
    if expected is None and value is not None and known.check is not None:
        expected = known.check(value)
    if expected is not None:
        shown = "a secret" if known.secret else repr(found)
        mistakes.append(
            Mistake(path, shown, expected, "" if known.example is None else _shown(known.example))
        )
    return value


def _typed(kind: Any, found: Any, path: str, mistakes: list[Mistake]) -> tuple[Any, str | None]:
    """The value in its type, and what was expected if it is not of that type."""
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        if not isinstance(found, list | tuple):
            return None, "a list"
        if is_dataclass(inner):
            entries = [
                _section(_defaults_of(inner), one, f"{path}[{place}].", mistakes)
                for place, one in enumerate(found)
            ]
            return tuple(entries), None
        wrong = any(_typed(inner, one, path, mistakes)[1] for one in found)
        return (None, f"a list, each of it {_NAMES[inner]}") if wrong else (tuple(found), None)
    if kind is float and type(found) is int:
        return float(found), None
    if get_origin(kind) is Literal:
        return (found, None) if found in get_args(kind) else (None, "one of " + ", ".join(get_args(kind)))
    return (found, None) if type(found) is kind else (None, _NAMES[kind])


def _shown(example: Any) -> str:
    if isinstance(example, bool):
        return str(example).lower()
    return repr(list(example)) if isinstance(example, tuple) else repr(example)


def _contradictions(made: Configuration) -> list[Mistake]:
    """Mistakes that no key shows alone."""
    mistakes = []
    if not made.listeners:
        mistakes.append(Mistake("listeners", "an empty list", "at least one listener"))
    for place, one in enumerate(made.listeners):
        if bool(one.tls_certificate) != bool(one.tls_key):
            mistakes.append(
                Mistake(
                    f"listeners[{place}].tls_key", "one of two", "both tls_certificate and tls_key, or none"
                )
            )
        if one.tls_client_ca and not one.tls_certificate:
            expected = "a certificate, with tls_client_ca"
            mistakes.append(Mistake(f"listeners[{place}].tls_certificate", "none", expected))
    places = [(one.address, one.port) for one in made.listeners]
    if len(set(places)) < len(places):
        mistakes.append(
            Mistake("listeners", "the same address and port twice", "different addresses or ports")
        )
    if made.registration.requires_email and not made.mail.host:
        mistakes.append(Mistake("mail.host", "none", "a mail server with registration.requires_email"))
    if made.mail.host and not made.mail.sender:
        mistakes.append(Mistake("mail.sender", "none", "an address that e-mail comes from, with mail.host"))
    mistakes += [
        Mistake(f"terms.policies[{place}].url", "none", "where the document is read")
        for place, one in enumerate(made.terms.policies)
        if not one.url
    ]
    mistakes += [Mistake(*one) for one in sign_in_mistakes(made.sign_in, has_pages=made.oauth.enabled)]
    mistakes += [Mistake(*one) for one in region_mistakes(made.regions)]
    mistakes += [Mistake(*one) for one in support_mistakes(made.support)]
    return mistakes + _retention_contradictions(made.retention)


def _retention_contradictions(made: RetentionSection) -> list[Mistake]:
    low, high, default = made.lifetime_ms_min, made.lifetime_ms_max, made.default_lifetime_ms
    longest = made.class_lifetimes_ms[-1]
    mistakes = []
    if high and high < low:
        mistakes.append(
            Mistake("retention.lifetime_ms_max", str(high), f"at least lifetime_ms_min, which is {low}, or 0")
        )
    if default and (default < low or (high and default > high)):
        mistakes.append(
            Mistake("retention.default_lifetime_ms", str(default), "0, or between lifetime_ms_min and _max")
        )
    # A room that wants more than the longest class is kept for ever: that must not be how a bound is passed.
    for name, value in (("lifetime_ms_max", high), ("default_lifetime_ms", default)):
        if value > longest:
            expected = f"0, or at most the last of class_lifetimes_ms, which is {longest}"
            mistakes.append(Mistake(f"retention.{name}", str(value), expected))
    return mistakes


def _defaults_of(kind: Any) -> Any:
    return kind()
