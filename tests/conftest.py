"""What tests share: an empty place to work in, a sandbox, and the two views of its calls that have to agree."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs import PluggableRunContext
from duckdb_extensions import import_extension
from filelock import FileLock

from comagic.cli.commands import run_command_line
from comagic.sandbox import SandboxServer
from comagic_pipeline import load_comagic
from tests.support.processes import SCRIPT, Command, Outcome
from tests.support.warehouses import BigQuery, Warehouse


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, with dlt's own files inside and no configuration but the test's."""
    for name in list(os.environ):
        if name.startswith(("SOURCES__", "DESTINATION", "RUNTIME__", "NOTIFICATIONS__", "BIGQUERY_", "DLT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.chdir(tmp_path)
    Container()[PluggableRunContext].reload()
    yield tmp_path
    Container()[PluggableRunContext].reload()


@pytest.fixture
def serve() -> Iterator[Callable[..., SandboxServer]]:
    """Starts sandboxes that end with the test."""
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(SandboxServer(*args, **kwargs))


@pytest.fixture
def run(place: Path) -> Command:
    """Runs the script as a process of its own; keyword arguments are environment variables."""

    def running(*words: str, **environment: str) -> Outcome:
        ended = subprocess.run(
            [sys.executable, str(SCRIPT), *words],
            env={**os.environ, "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Outcome(ended.returncode, ended.stdout, ended.stderr)

    return running


@pytest.fixture
def command(place: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line in this process; keyword arguments are environment variables."""

    def running(*words: str, **environment: str) -> Outcome:
        before = signal.getsignal(signal.SIGTERM)
        capsys.readouterr()
        Container()[PluggableRunContext].reload()  # files of configuration are read by each process anew
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
                signal.signal(signal.SIGTERM, before)
        shown = capsys.readouterr()
        return Outcome(code or 0, shown.out, shown.err)

    return running


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """An empty warehouse."""
    return Warehouse(tmp_path)


@pytest.fixture(scope="session")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder whose folders are the buckets that the emulator of BigQuery can see."""
    return tmp_path_factory.mktemp("buckets")


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory, buckets: Path) -> Iterator[str]:
    """Address of an emulator of BigQuery, which ends with the tests."""
    with FileLock(Path(tempfile.gettempdir()) / "duckdb_extensions.lock"):  # tests run two at a time
        import_extension("spatial")
    log = tmp_path_factory.mktemp("emulator") / "log"
    command = [str(Path(sys.executable).parent / "bqemulator"), "start", "--rest-port", "0", "--grpc-port", "0"]
    environment = {**os.environ, "BQEMU_GCS_LOCAL_ROOT": str(buckets)}
    with (
        log.open("wb") as written,
        subprocess.Popen([*command, "--project", "p"], env=environment, stdout=written, stderr=written) as one,
    ):
        try:
            for _ in range(600):
                if found := re.search(r'"host": "127.0.0.1", "port": (\d+), "event": "rest.listen"', log.read_text()):
                    yield f"http://127.0.0.1:{found.group(1)}"
                    return
                assert one.poll() is None, log.read_text()
                time.sleep(0.1)
            pytest.fail(f"the emulator did not start: {log.read_text()}")
        finally:
            one.terminate()


@pytest.fixture
def warehouse_in_bigquery(emulator: str) -> BigQuery:
    """An empty project of the emulator."""
    return BigQuery(emulator, f"project-{uuid.uuid4().hex[:8]}")
