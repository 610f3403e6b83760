"""The script for a user with a project at Google runs here against the emulator."""

import os
import subprocess
import sys

import pytest

from tests.support.processes import ROOT


def on_google(**environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.on_google"],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_without_a_project_it_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    done = on_google()
    assert (done.returncode, "GOOGLE_CLOUD_PROJECT=" in done.stdout) == (2, True), done.stderr


@pytest.mark.expensive(50)
def test_all_checks_but_the_lock_pass_in_the_emulator(emulator: str) -> None:
    """The emulator does not honour `If-Match`, which is what the check of the lock finds."""
    done = on_google(
        BIGQUERY_EMULATOR_HOST=emulator, GOOGLE_CLOUD_PROJECT="trial", DATA_WRITER__DISABLE_COMPRESSION="true"
    )
    failed = [line for line in done.stdout.splitlines() if line.startswith("NO")]
    assert failed == ["NO  lock: If-Match is not honoured"], done.stdout + done.stderr
    assert done.returncode == 1
