"""The report of a run, as a table for people and as JSON for programs."""

import json
from dataclasses import asdict
from typing import Any

from clients.load.plan import AnyPlan
from clients.load.stage import Report

__all__ = ["as_json", "as_table"]

_COLUMNS = (
    ("operations", "count"),
    ("per_second", "per s"),
    ("server_cpu_us", "server CPU µs"),
    ("postgres_cpu_us", "PostgreSQL CPU µs"),
    ("server_cpu_per_delivery_us", "server CPU µs a delivery"),
    ("p50_ms", "p50 ms"),
    ("p95_ms", "p95 ms"),
    ("p99_ms", "p99 ms"),
    ("p50_delivery_ms", "delivery p50 ms"),
    ("p99_delivery_ms", "delivery p99 ms"),
    ("deliveries", "deliveries"),
    ("seconds", "seconds"),
    ("resident_mib", "resident MiB"),
    ("resident_kib_each", "KiB each"),
    ("statements", "statements"),
    ("server_cpu_share", "server CPU, of a core"),
    ("failed", "failed"),
    ("lost", "lost"),
    ("duplicates", "twice"),
)


def as_json(plan: AnyPlan, report: Report) -> str:
    """The plan and the figures as a JSON object."""
    return json.dumps({"plan": asdict(plan), "phases": report.phases, "clean": report.clean}, indent=2)


def as_table(report: Report) -> str:
    """The figures as a Markdown table, a line for each phase; CPU is per operation."""
    columns = [
        (key, title) for key, title in _COLUMNS if any(key in phase for phase in report.phases.values())
    ]
    titles = " | ".join(title for _, title in columns)
    lines = [f"| phase | {titles} |", "|---" * (len(columns) + 1) + "|"]
    for name, phase in report.phases.items():
        lines.append(f"| {name} | " + " | ".join(_cell(phase.get(key)) for key, _ in columns) + " |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:,}"
