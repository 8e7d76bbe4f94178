"""Measures: CPU of process trees and memory from /proc, and percentiles of latencies."""

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CpuMeter", "CpuTimes", "Latencies", "resident_bytes"]

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """CPU seconds used so far, user and system together."""

    server_s: float
    postgres_s: float

    def since(self, earlier: "CpuTimes") -> "CpuTimes":
        """What was used after `earlier`."""
        return CpuTimes(self.server_s - earlier.server_s, self.postgres_s - earlier.postgres_s)

    def per_operation_us(self, operations: int) -> tuple[float, float]:
        """(server, PostgreSQL) microseconds an operation."""
        count = max(operations, 1)
        return self.server_s * 1e6 / count, self.postgres_s * 1e6 / count


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    name: str
    ticks: int
    reaped_ticks: int


def _processes() -> dict[int, _Process]:
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
        except OSError:
            continue  # it ended meanwhile
        name = text[text.index("(") + 1 : text.rindex(")")]
        fields = text[text.rindex(")") + 2 :].split()
        user, system, reaped_user, reaped_system = (int(value) for value in fields[11:15])
        found[int(entry.name)] = _Process(
            int(entry.name), int(fields[1]), name, user + system, reaped_user + reaped_system
        )
    return found


class CpuMeter:
    """Reads the CPU time of the server's and PostgreSQL's processes, children included.

    A child that has ended counts through its parent's reaped time, so the sums only grow.
    """

    def __init__(self, *, server_pids: tuple[int, ...], postgres_pids: tuple[int, ...]) -> None:
        self._server_pids = server_pids
        self._postgres_pids = postgres_pids

    def read(self) -> CpuTimes:
        """The CPU times now; zero where no process is named."""
        processes = _processes()
        children: dict[int, list[int]] = {}
        for process in processes.values():
            children.setdefault(process.parent, []).append(process.pid)
        ticks = {"server": 0, "postgres": 0}
        waiting = [(pid, "server") for pid in self._server_pids]
        waiting += [(pid, "postgres") for pid in self._postgres_pids]
        seen: set[int] = set()
        while waiting:
            pid, kind = waiting.pop()
            current = processes.get(pid)
            if current is None or pid in seen:
                continue
            seen.add(pid)
            kind = "postgres" if current.name.startswith("postgres") else kind
            ticks[kind] += current.ticks + current.reaped_ticks
            waiting.extend((child, kind) for child in children.get(pid, ()))
        return CpuTimes(ticks["server"] / _TICKS_PER_SECOND, ticks["postgres"] / _TICKS_PER_SECOND)


def resident_bytes(pids: tuple[int, ...]) -> int:
    """Memory of these processes that is in RAM, without their children."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE")


class Latencies:
    """Collects latencies in seconds; answers in milliseconds."""

    def __init__(self) -> None:
        self._values_s: list[float] = []

    def add(self, value_s: float) -> None:
        """Add one."""
        self._values_s.append(value_s)

    def __len__(self) -> int:
        return len(self._values_s)

    def percentile_ms(self, percent: float) -> float:
        """The smallest value that at least `percent` of all do not exceed; 0 if there are none."""
        if not self._values_s:
            return 0.0
        ordered = sorted(self._values_s)
        place = min(len(ordered) - 1, max(0, -(-len(ordered) * percent // 100) - 1))
        return ordered[int(place)] * 1000

    def summary(self) -> dict[str, float]:
        """p50, p95, p99 and the greatest, in milliseconds."""
        return {f"p{percent}_ms": round(self.percentile_ms(percent), 2) for percent in (50, 95, 99, 100)}
