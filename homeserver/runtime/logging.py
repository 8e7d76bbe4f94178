"""The reader of observations that writes log lines, as text for people or as JSON for machines."""

import logging
from collections.abc import MutableMapping
from dataclasses import fields
from typing import Any, TextIO

import orjson
import structlog

from homeserver.runtime.observation import Failure, Level, Observation, RequestFinished, current_request_id

__all__ = ["LogReader", "make_log", "route_foreign_logs"]

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

Log = structlog.typing.FilteringBoundLogger


def make_log(*, level: str, format: str, stream: TextIO) -> Log:  # noqa: A002 - the key in the configuration
    """Make the log of this process.

    Args:
        level: `debug`, `info`, `warning` or `error`: nothing below it is written.
        format: `text` or `json`.
        stream: to write to.
    """
    assert format in {"text", "json"}
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _add_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if format == "json":
        processors += [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(_dumps)]
    else:
        is_terminal = stream.isatty()
        processors.append(
            structlog.dev.ConsoleRenderer(
                colors=is_terminal, exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
            )
        )
    log: Log = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    return log


class LogReader:
    """Writes a line for each observation at or above the level of the log.

    Args:
        log: to write to.
        requests_level: the level of the line for each request (the access log).
    """

    def __init__(self, log: Log, *, requests_level: Level = Level.DEBUG) -> None:
        self._log = log
        self._requests_level = requests_level
        self._level_min = next(
            (LEVELS[level.value] for level in Level if log.is_enabled_for(LEVELS[level.value])), 100
        )

    def observe(self, observation: Observation) -> None:
        """Write a line, if it is worth one."""
        level = self._requests_level if type(observation) is RequestFinished else observation.level
        if LEVELS[level.value] < self._level_min:
            return
        facts = {fact.name: getattr(observation, fact.name) for fact in fields(observation)}
        if isinstance(observation, Failure):
            error = facts.pop("error")
            facts["exc_info"] = (type(error), error, error.__traceback__)
        # A fact must not replace the words of the line.
        facts = {(f"{name}_" if name in {"event", "level"} else name): fact for name, fact in facts.items()}
        self._log.log(LEVELS[level.value], _words(type(observation).__name__), **facts)


class _ForeignLog(logging.Handler):
    """Hands the log records of libraries to our log."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record of the standard library's logging."""
        try:
            self._log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)
        except Exception:  # noqa: BLE001 - as the standard library asks of every handler
            self.handleError(record)


def route_foreign_logs(log: Log) -> None:
    """Write what libraries log with the standard library, from warnings up, to our log."""
    root = logging.getLogger()
    root.handlers = [_ForeignLog(log)]
    root.setLevel(logging.WARNING)


def _words(name: str) -> str:
    """The name of a class as words: `RequestFinished` as `request finished`."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()


def _add_request_id(log: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ARG001 - structlog passes them
    request_id = current_request_id.get()
    if request_id:
        event.setdefault("request_id", request_id)
    return event


def _dumps(value: Any, **options: Any) -> str:  # noqa: ARG001 - structlog passes options of json.dumps
    return orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
