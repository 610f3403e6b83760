"""Commands as processes, and processes that die at a chosen moment."""

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
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


Serve = Callable[..., SandboxServer]
Command = Callable[..., Outcome]


DIES_BEFORE_IT_NOTES = """
import os, sys
from dlt.common.storages.load_package import PackageStorage
from comagic.cli.commands import run_command_line
from comagic_pipeline import load_comagic

table = sys.argv.pop()
note = PackageStorage.save_pending_transition

def noting(storage, load_id, file_name, *outcome):
    if file_name.startswith(f"{table}."):
        os._exit(9)
    note(storage, load_id, file_name, *outcome)

PackageStorage.save_pending_transition = noting
run_command_line(load_comagic)
"""


def die_before_noting(table: str, environment: dict[str, str]) -> None:
    """A load that dies as after a kill: rows of a table are committed, and dlt has not noted that yet."""
    ended = subprocess.run(
        [sys.executable, "-c", DIES_BEFORE_IT_NOTES, table],
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 9, ended.stderr
