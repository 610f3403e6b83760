"""What tests of loads share: the script as a process that a test can signal and kill."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.processes import SCRIPT, Start


@pytest.fixture
def start(place: Path) -> Iterator[Start]:
    """Starts the script as a process, which ends with the test; keyword arguments are environment variables."""
    with ExitStack() as stack:

        def starting(*words: str, **environment: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, str(SCRIPT), *words],
                env={**os.environ, "COLUMNS": "200", **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield starting
