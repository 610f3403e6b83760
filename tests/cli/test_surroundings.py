"""Terminals without Cyrillic and folders with odd names are no reason to fail, or the error says what to do."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from comagic.cli.process import prepare_process
from tests.support.accounts import access_to, recent_account
from tests.support.processes import SCRIPT, Command, Serve
from tests.support.sampling import sample


@pytest.mark.parametrize("encoding", sample(["ascii", "cp1252"], 1))
def test_output_that_cannot_show_cyrillic_does_not_fail(serve: Serve, place: Path, encoding: str) -> None:
    environment = access_to(serve(recent_account(0.1)), PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), "check"], env={**os.environ, **environment}, capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "account: ???" in ended.stdout.decode(encoding), "the account's name is Cyrillic"


def test_folder_with_a_percent_sign_in_its_name(
    serve: Serve, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place / "100% %41"
    folder.mkdir()
    monkeypatch.chdir(folder)
    environment = access_to(serve(recent_account(1)))
    for _ in range(2):
        outcome = command("load", "--resource", "tags", **environment)
        assert outcome.code == 0, outcome.err
    assert (folder / "comagic_pipeline.duckdb").exists()
    assert command("status", "--resource", "tags", "--max-age-hours", "1", **environment).code == 0


def test_folder_with_a_question_mark_in_its_name_is_an_error_that_names_the_setting(
    serve: Serve, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place / "really?"
    folder.mkdir()
    monkeypatch.chdir(folder)
    outcome = command("load", "--resource", "tags", **access_to(serve(recent_account(1))))
    assert outcome.code == 2
    assert "destination.duckdb.credentials" in outcome.err


def test_without_credentials_the_message_says_where_to_start_the_program(command: Command, place: Path) -> None:
    outcome = command()
    assert outcome.code == 2
    assert "No credentials are configured" in outcome.err
    assert f"There is no folder .dlt in {place}" in outcome.err.replace("\n", " ")


def test_garbage_is_looked_for_rarely_and_what_an_earlier_run_left_is_not_kept() -> None:
    gc.unfreeze()
    gc.set_threshold(700)
    try:
        prepare_process()
        imported, threshold = gc.get_freeze_count(), gc.get_threshold()[0]
        left = [[] for _ in range(10_000)]  # type: ignore[var-annotated]
        prepare_process()
        assert imported > 10_000
        assert threshold == 100_000
        assert gc.get_freeze_count() <= imported, f"{len(left)} objects are kept"
    finally:
        gc.freeze()
        gc.set_threshold(100_000)
