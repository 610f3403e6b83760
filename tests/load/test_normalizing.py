"""Large load packages are normalized by two processes, small ones by none; the tables are the same."""

import json
import logging
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
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import dlt
import pytest

from comagic.load import normalizing
from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.processes import ROOT, Command, Serve
from tests.support.warehouses import Warehouse

two_cores = pytest.mark.skipif(not normalizing.can_use_workers(), reason="needs Linux with two cores")


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
    with normalizing.several_workers():
        normalizing.choose_workers(normalizing.SERVER_ROWS - 1)
        assert dlt.config["normalize.workers"] == 1
        for has_server, workers in ((False, 1), (True, 2)):
            monkeypatch.setattr(normalizing, "_start_server", lambda has_server=has_server: has_server)
            normalizing.choose_workers(normalizing.MIN_ROWS)
            assert (dlt.config["normalize.workers"], dlt.config["normalize.start_method"]) == (workers, "forkserver")
        assert dlt.config[normalizing.FILE_SETTING] == normalizing.ROWS_PER_FILE
    assert [dlt.config.get(f"normalize.{name}") for name in ("workers", "start_method")] == [None, None]
    monkeypatch.setenv("NORMALIZE__WORKERS", "3")
    assert not normalizing.can_use_workers()


@two_cores
def test_what_the_host_has_set_is_there_again_after_a_load(serve: Serve, command: Command, place: Path) -> None:
    own = {
        "load.truncate_staging_dataset": False,
        "load.delete_completed_jobs": False,
        "extract.next_item_mode": "round_robin",
        normalizing.FILE_SETTING: normalizing.ROWS_PER_FILE,
    }
    (place / ".dlt").mkdir(exist_ok=True)
    (place / ".dlt/config.toml").write_text("".join(f"{name} = {json.dumps(own[name])}\n" for name in own), "utf-8")
    spec = sys.modules["__main__"].__spec__
    assert command(**access_to(serve(recent_account(1)))).code == 0
    assert {name: dlt.config.get(name) for name in own} == own
    assert sys.modules["__main__"].__spec__ is spec


@two_cores
@pytest.mark.parametrize(
    "error", [OSError("AF_UNIX path too long"), FileNotFoundError("no such folder"), ImportError("sem_open")]
)
def test_where_no_process_can_be_started_one_normalizes(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(logging.getLogger("dlt"), "propagate", True)
    monkeypatch.setattr(forkserver, "ensure_running", fail)
    monkeypatch.setattr(normalizing, "_start_server_once", normalizing._start_server_once.__wrapped__)
    with normalizing.several_workers():
        normalizing.choose_workers(normalizing.MIN_ROWS)
        assert dlt.config["normalize.workers"] == 1
    assert f"normalized by one process: {error}" in caplog.text
    with pytest.raises(OSError, match="fork server"):
        normalizing.start_process(print)


def test_a_thread_normalizes_by_itself() -> None:
    found = []
    thread = threading.Thread(target=lambda: found.append(normalizing.can_use_workers()))
    thread.start()
    thread.join()
    assert found == [False]


def test_workers_of_an_interrupted_package_end_with_the_load_and_others_do_not() -> None:
    server, fork = multiprocessing.get_context("forkserver"), multiprocessing.get_context("fork")
    before, worker = (server.Process(target=time.sleep, args=(600,), daemon=True) for _ in range(2))
    users = fork.Process(target=time.sleep, args=(600,), daemon=True)
    before.start()
    with normalizing.several_workers():
        worker.start()
        users.start()
    worker.join(timeout=60)
    assert (worker.exitcode, before.is_alive(), users.is_alive()) == (-signal.SIGKILL, True, True)
    for process in (before, users):
        process.kill()
        process.join()


NORMALIZES_FOR_EVER = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from comagic.load import normalizing

normalizing.choose_workers(normalizing.MIN_ROWS)
pool = ProcessPoolExecutor(2, mp_context=get_context("forkserver"))
for _ in range(2):
    pool.submit(exec, WORK)
"""
WORK = """
import signal, time
print(signal.pthread_sigmask(signal.SIG_BLOCK, ()), flush=True)
time.sleep(600)
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
def test_an_interrupt_is_left_to_the_load_and_after_a_kill_no_process_is_left() -> None:
    """The pipe is closed when the last process has ended that was started: workers, fork server, resource tracker."""
    command = [sys.executable, "-c", f"{WORK=}\n{NORMALIZES_FOR_EVER}"]
    with (
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as process,
        ended_group(process.pid),
    ):
        assert process.stdout
        assert [process.stdout.readline() for _ in range(2)] == [f"{{{signal.SIGINT!r}}}\n"] * 2
        process.kill()
        assert process.communicate(timeout=60)[0] == ""
