"""The script as a process, its outcome, and processes that die at a chosen moment."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from comagic.sandbox import SandboxServer

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "comagic_pipeline.py"


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        code: its exit code.
        out: what it printed.
        err: what it printed to stderr.
    """

    code: int
    out: str
    err: str


Serve = Callable[..., SandboxServer]
Command = Callable[..., Outcome]
Start = Callable[..., "subprocess.Popen[str]"]

SMALL_PACKAGES = {"SOURCES__COMAGIC__LOAD_PACKAGE_ROWS": "150", "SOURCES__COMAGIC__WINDOW_DAYS": "3"}
"""Environment under which the calls of `recent_account` are loaded in several load packages."""


DIES_BEFORE_NOTING = """
import os, sys
from dlt.common.storages.load_package import PackageStorage
from comagic.cli.commands import run_command_line
from comagic_pipeline import load_comagic

table = sys.argv.pop()
save = PackageStorage.save_pending_transition

def save_or_die(storage, load_id, file_name, *outcome):
    if file_name.startswith(f"{table}."):
        os._exit(9)
    save(storage, load_id, file_name, *outcome)

PackageStorage.save_pending_transition = save_or_die
run_command_line(load_comagic)
"""


def die_before_noting(table: str, environment: dict[str, str]) -> None:
    """Runs a load that dies, as after a kill, when a table's rows are committed and dlt has not noted that yet."""
    ended = subprocess.run(
        [sys.executable, "-c", DIES_BEFORE_NOTING, table],
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 9, ended.stderr


DIES_BEFORE_LOADING = """
import os
import dlt
from comagic.cli.commands import run_command_line
from comagic_pipeline import load_comagic

dlt.Pipeline.load = lambda *_, **__: os._exit(9)
run_command_line(load_comagic)
"""


def die_before_loading(environment: dict[str, str]) -> None:
    """Runs a load that dies, as after a kill, when its load package is normalized and not yet being loaded."""
    ended = subprocess.run(
        [sys.executable, "-c", DIES_BEFORE_LOADING],
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 9, ended.stderr
