"""Large load packages are normalized by two processes, small ones by none; the tables are the same."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dlt
import pytest

from comagic.load import normalizing
from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.processes import ROOT, Command, Serve
from tests.support.warehouses import Warehouse

two_cores = pytest.mark.skipif(not normalizing.prepare_workers(), reason="needs Linux with two cores")


@two_cores
@pytest.mark.expensive
def test_large_package_is_normalized_by_two_processes_and_the_tables_are_right(
    serve: Serve, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = []
    submit = ProcessPoolExecutor.submit

    def note(pool: ProcessPoolExecutor, *args: Any, **kwargs: Any) -> Any:
        submitted.append(args[0].__name__)
        return submit(pool, *args, **kwargs)

    monkeypatch.setattr(ProcessPoolExecutor, "submit", note)
    monkeypatch.setattr(normalizing, "MIN_ROWS", 100)
    monkeypatch.setattr(normalizing, "ROWS_PER_FILE", 50)
    account = recent_account(20)
    sandbox = serve(account)
    for _ in range(2):
        outcome = command(**access_to(sandbox))
        assert outcome.code == 0, outcome.err
        assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
    assert submitted.count("w_normalize_files") == 4
    assert (dlt.config.get("normalize.workers"), multiprocessing.active_children()) == (None, [])


@two_cores
def test_rows_decide_and_a_setting_of_the_user_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert normalizing.prepare_workers()
    normalizing.choose_workers(normalizing.SERVER_ROWS - 1)
    assert dlt.config["normalize.workers"] == 1
    monkeypatch.setattr(normalizing, "_start_server", lambda: None)
    normalizing.choose_workers(normalizing.MIN_ROWS)
    assert (dlt.config["normalize.workers"], dlt.config["normalize.start_method"]) == (2, "forkserver")
    normalizing.forget_workers(())
    assert dlt.config.get("normalize.workers") is None
    monkeypatch.setenv("NORMALIZE__WORKERS", "3")
    assert not normalizing.prepare_workers()


def test_a_thread_normalizes_by_itself() -> None:
    found = []
    thread = threading.Thread(target=lambda: found.append(normalizing.prepare_workers()))
    thread.start()
    thread.join()
    assert found == [False]


def test_workers_of_an_interrupted_package_end_with_the_load_and_others_do_not() -> None:
    forks = multiprocessing.get_context("fork")
    other, worker = (forks.Process(target=time.sleep, args=(600,), daemon=True) for _ in range(2))
    other.start()
    before = multiprocessing.active_children()
    worker.start()
    normalizing.forget_workers(before)
    worker.join(timeout=60)
    assert (worker.exitcode, other.is_alive()) == (-signal.SIGKILL, True)
    other.kill()
    other.join()


NORMALIZES_FOR_EVER = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from comagic.load import normalizing

normalizing.choose_workers(normalizing.MIN_ROWS)
pool = ProcessPoolExecutor(2, mp_context=get_context("forkserver"))
for _ in range(2):
    pool.submit(exec, "import time; print('busy', flush=True); time.sleep(600)")
"""


@contextmanager
def ended_group(leader: int) -> Iterator[None]:
    """Ends what is left of a group of processes, should the test fail."""
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)


@two_cores
def test_after_a_kill_no_process_is_left() -> None:
    """The pipe is closed when the last process has ended that was started: workers, fork server, resource tracker."""
    command = [sys.executable, "-c", NORMALIZES_FOR_EVER]
    with (
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as process,
        ended_group(process.pid),
    ):
        assert process.stdout
        assert [process.stdout.readline() for _ in range(2)] == ["busy\n"] * 2
        process.kill()
        assert process.communicate(timeout=60)[0] == ""
