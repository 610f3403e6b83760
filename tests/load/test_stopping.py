"""A load that is stopped, by whomever, keeps what it has, says so, and the next one ends with the right tables."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from threading import Event

import dlt
import pytest

from comagic import KeyCredentials, LoginCredentials, comagic_source
from comagic.api.client import DataApiClient
from comagic.api.deadline import Deadline
from comagic.exceptions import DeadlineError
from comagic.extract.progress import Progress
from comagic.load.destinations import DATASET, choose_destination
from comagic.load.workdir import reset_if_moved
from comagic.sandbox import Switches
from comagic.sandbox.switches import KEY, LOGIN, PASSWORD
from tests.support.accounts import LONG_AGO, TODAY, access_to, differences, expected_calls, recent_account
from tests.support.clock import Clock
from tests.support.processes import SCRIPT, Command, Serve, die_before_noting
from tests.support.warehouses import Warehouse

Start = Callable[..., "subprocess.Popen[str]"]
SMALL_PACKAGES = {"SOURCES__COMAGIC__LOAD_PACKAGE_ROWS": "150", "SOURCES__COMAGIC__WINDOW_DAYS": "3"}


@pytest.fixture
def start(place: Path) -> Iterator[Start]:
    """Starts the script as a process; keyword arguments are environment variables."""
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


def test_a_deadline_stops_in_time_and_the_next_run_goes_on(serve: Serve, command: Command, place: Path) -> None:
    account = recent_account(30)
    sandbox = serve(account, Switches(latency=0.3))
    began = time.monotonic()
    shown = command("--max-minutes", "0.1", **access_to(sandbox), SOURCES__COMAGIC__WINDOW_DAYS="1")
    assert shown.code == 75, shown.err
    assert time.monotonic() - began < 0.1 * 60
    assert "Stopped early: The 0.1 minutes that the run may take are over. What was loaded is kept" in shown.err
    assert "windows are left" in shown.out
    kept = Warehouse(place).query("SELECT count(*) FROM calls")
    assert kept > [(0,)]
    ((windows,),) = Warehouse(place).query("SELECT count(*) FROM load_windows")

    sandbox.switches.latency = 0.0
    asked = sandbox.requests
    shown = command(**access_to(sandbox), SOURCES__COMAGIC__WINDOW_DAYS="1")
    assert shown.code == 0, shown.err
    assert "went on from there" in shown.out
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
    assert sandbox.requests - asked <= 42 - windows + 1, "the next run began from the beginning"


def test_the_deadline_is_a_setting_too(serve: Serve, command: Command) -> None:
    sandbox = serve(recent_account(1), Switches(latency=0.3))
    shown = command(**access_to(sandbox), SOURCES__COMAGIC__WINDOW_DAYS="1", SOURCES__COMAGIC__MAX_MINUTES="0.03")
    assert shown.code == 75, shown.err


@pytest.mark.parametrize("words", ["0", "-1", "nan"])
def test_a_deadline_that_is_none_is_refused_by_name(command: Command, serve: Serve, words: str) -> None:
    shown = command("load", "--max-minutes", words, **access_to(serve()))
    assert (shown.code, "--max-minutes" in shown.err) == (2, True), shown.err


def test_time_for_loading_is_kept_back_but_never_all_of_it() -> None:
    clock = Clock()
    deadline = clock.deadline(10)
    assert deadline.check() == 600 - 30, "half a minute as long as nothing is known"
    deadline.reserve(90)
    deadline.reserve(20)
    assert deadline.check() == 600 - 90, "the slowest package counts"
    deadline.reserve(10_000)
    assert deadline.check() == 300, "each run reads something"
    clock.now = 301
    with pytest.raises(DeadlineError):
        deadline.check()


@pytest.mark.parametrize("at", [2, 6, 11])
def test_a_polite_end_takes_seconds_and_the_next_run_goes_on(
    serve: Serve, start: Start, command: Command, place: Path, at: int
) -> None:
    account = recent_account()
    running: list[subprocess.Popen[str]] = []

    def terminate(request: int) -> None:
        if request == at:
            running[0].send_signal(signal.SIGTERM)
            sandbox.switches.latency = 30  # whoever waits for this answer does not end within seconds

    sandbox = serve(account, before_answer=terminate)
    running.append(start(**access_to(sandbox), **SMALL_PACKAGES))
    _, told = running[0].communicate(timeout=20)
    assert running[0].returncode == 75, told
    assert "Told to end. What was loaded is kept" in told
    assert "Traceback" not in told

    sandbox.switches.latency = 0
    shown = command(**access_to(sandbox), **SMALL_PACKAGES)
    assert shown.code == 0, shown.err
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


def test_a_polite_end_outside_of_dlts_steps_is_75_too(serve: Serve, start: Start) -> None:
    running: list[subprocess.Popen[str]] = []

    def terminate(_: int) -> None:
        running[0].send_signal(signal.SIGTERM)
        sandbox.switches.latency = 30

    sandbox = serve(recent_account(1), before_answer=terminate)
    running.append(start("check", **access_to(sandbox)))
    _, told = running[0].communicate(timeout=20)
    assert (running[0].returncode, "Told to end" in told) == (75, True), told


def test_a_period_by_hand_goes_on_too(serve: Serve, start: Start, command: Command, place: Path) -> None:
    account = recent_account()
    running: list[subprocess.Popen[str]] = []

    def kill(request: int) -> None:
        if request == 10:
            running[0].kill()

    sandbox = serve(account, before_answer=kill)
    words = ("load", "--since", f"{TODAY - timedelta(days=40)}", "--until", f"{TODAY - timedelta(days=1)}")
    running.append(start(*words, **access_to(sandbox), **SMALL_PACKAGES))
    running[0].communicate(timeout=60)
    assert running[0].returncode == -signal.SIGKILL
    asked = sandbox.requests
    shown = command(*words, **access_to(sandbox), **SMALL_PACKAGES)
    assert shown.code == 0, shown.err
    assert "went on from there" in shown.out
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
    assert sandbox.requests - asked < 12, "the period was begun again"

    asked = sandbox.requests
    shown = command(*words, **access_to(sandbox), **SMALL_PACKAGES)
    assert "went on" not in shown.out
    assert sandbox.requests - asked >= 15, "a period that was finished is read anew when it is asked for again"


def test_a_second_run_is_refused_and_a_dead_one_keeps_nobody_out(
    serve: Serve, start: Start, command: Command, place: Path
) -> None:
    account = recent_account()
    reached, released = Event(), Event()

    def wait(request: int) -> None:
        if request == 3:
            reached.set()
            released.wait(60)

    sandbox = serve(account, before_answer=wait)
    first = start(**access_to(sandbox))
    assert reached.wait(60)
    other = serve(account)
    shown = command(**access_to(other))
    assert (shown.code, other.requests) == (1, 0), shown.err
    assert "Another run is loading here" in shown.err
    first.kill()
    first.wait()
    released.set()
    shown = command(**access_to(other))
    assert shown.code == 0, shown.err
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


def test_killed_six_times_on_the_way(serve: Serve, start: Start, command: Command, place: Path) -> None:
    """`tests/benchmarks/killing.py` does it with 100,000 calls, and looks at the tables after each time."""
    account = recent_account(60)
    environment = access_to(serve(account), **SMALL_PACKAGES)
    moments = random.Random(20)
    ended = 0
    for _ in range(6):
        process = start(**environment)
        try:
            process.communicate(timeout=moments.uniform(0.8, 3.5))
            ended += 1
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        if moments.random() < 0.5:
            shutil.rmtree(place / "dlt", ignore_errors=True)
    assert ended < 6, "nothing was killed"
    shown = command(**environment)
    assert shown.code == 0, shown.err
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


def test_a_session_of_three_seconds_over_a_long_load(serve: Serve, warehouse: Warehouse) -> None:
    account = recent_account(20)
    clock = Clock()

    def half_a_second(_: int) -> None:
        clock.now += 0.5

    sandbox = serve(account, Switches(session_seconds=3), clock=clock, before_answer=half_a_second)
    access = LoginCredentials(login=LOGIN, password=PASSWORD)
    warehouse.load(sandbox, credentials=access, start_date=TODAY - timedelta(days=40), window_days=1)
    assert differences(warehouse.calls(), expected_calls(account, LONG_AGO)) == []
    assert clock.now > 20
    assert clock.now / 3 - 2 <= sandbox.calls["login.user"] <= clock.now / 2, "a login each time that a session ends"


def test_a_minute_budget_of_five_takes_the_time_that_it_must(serve: Serve, warehouse: Warehouse) -> None:
    account = recent_account(20)
    clock = Clock()
    sandbox = serve(account, Switches(minute_limit=5), clock=clock)
    client = DataApiClient(KeyCredentials(access_token=KEY), sandbox.base_url, deadline=clock.deadline())
    warehouse.load(sandbox, client=client, start_date=TODAY - timedelta(days=40), window_days=1)
    assert differences(warehouse.calls(), expected_calls(account, LONG_AGO)) == []
    assert sandbox.requests == sum(sandbox.calls.values()) == 42 or sandbox.requests == 43
    assert 8 * 60 <= clock.now <= 9 * 61, "five a minute, not more and not much less"


def test_an_error_in_ones_own_code_is_raised_unless_there_is_a_journal(serve: Serve, warehouse: Warehouse) -> None:
    sandbox = serve(recent_account(1), Switches(day_limit=3))
    settings = {"start_date": TODAY - timedelta(days=40), "window_days": 3}
    with pytest.raises(Exception, match="limit_exceeded"):
        warehouse.load(sandbox, **settings)
    sandbox.switches.day_limit = 7
    progress = Progress()
    warehouse.load(sandbox, progress=progress, **settings)
    assert "limit_exceeded" in str(progress.first_error())
    assert not progress.is_complete("calls")


def test_a_deadline_without_minutes_never_comes() -> None:
    assert Deadline().check() == float("inf")


@pytest.mark.parametrize("table", ["calls", "calls__tags"])
def test_killed_between_a_commit_and_dlts_note_of_it(serve: Serve, command: Command, place: Path, table: str) -> None:
    """dlt would fill the staging table once more, and the merge insert its rows twice."""
    account = recent_account()
    environment = access_to(serve(account))
    die_before_noting(table, environment)
    shown = command(**environment)
    assert (shown.code, "half loaded; its rows are read again" in shown.err) == (0, True), shown.err
    assert Warehouse(place).query(f"SELECT count(*) - count(DISTINCT _dlt_id) FROM {table}") == [(0,)]
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


def test_a_package_whose_loading_had_not_begun_is_finished(serve: Serve, command: Command, place: Path) -> None:
    account = recent_account()
    sandbox = serve(account)
    pipeline = dlt.pipeline("comagic", destination=choose_destination(), dataset_name=DATASET)
    reset_if_moved(pipeline)
    key = KeyCredentials(access_token=KEY)
    pipeline.extract(comagic_source(key, sandbox.base_url, start_date=LONG_AGO))
    pipeline.normalize()
    asked = sandbox.requests
    shown = command(**access_to(sandbox))
    assert (shown.code, "Finishing the load package" in shown.err) == (0, True), shown.err
    assert 0 < sandbox.requests - asked < 10, "nothing new was read, or all of it again"
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
