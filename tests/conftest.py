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
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pendulum
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs import PluggableRunContext
from duckdb_extensions import import_extension
from filelock import FileLock
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

import comagic_pipeline
from comagic import KeyCredentials, comagic_source
from comagic.api.deadline import Deadline
from comagic.catalog import LIST, TIME, reports
from comagic.sandbox import SandboxServer, SyntheticAccount
from comagic.sandbox.switches import KEY

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "comagic_pipeline.py"
CALLS = reports()["calls"]
LONG_AGO = datetime(2000, 1, 1)
FAR = datetime(2100, 1, 1)
TODAY = pendulum.today("UTC").date()


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


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


Serve = Callable[..., SandboxServer]
Command = Callable[..., Outcome]


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
                comagic_pipeline.run_command_line()
                code: Any = 0
            except SystemExit as stop:
                code = stop.code
            finally:
                signal.signal(signal.SIGTERM, before)
        shown = capsys.readouterr()
        return Outcome(code or 0, shown.out, shown.err)

    return running


DIES_BEFORE_IT_NOTES = """
import os, sys
from dlt.common.storages.load_package import PackageStorage
import comagic_pipeline

table = sys.argv.pop()
note = PackageStorage.save_pending_transition

def noting(storage, load_id, file_name, *outcome):
    if file_name.startswith(f"{table}."):
        os._exit(9)
    note(storage, load_id, file_name, *outcome)

PackageStorage.save_pending_transition = noting
comagic_pipeline.run_command_line()
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


def access_to(sandbox: SandboxServer, **more: str) -> dict[str, str]:
    """The environment that leads to a sandbox; calls of the last 40 days."""
    return {
        "SOURCES__COMAGIC__BASE_URL": sandbox.base_url,
        "SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN": KEY,
        "SOURCES__COMAGIC__START_DATE": (TODAY - timedelta(days=40)).isoformat(),
        **more,
    }


def recent_account(calls_per_day: float = 10, **settings: Any) -> SyntheticAccount:
    """Calls of the last 40 days, today's left out, so that nothing goes on while a test runs."""
    first, last = TODAY - timedelta(days=40), TODAY - timedelta(days=1)
    return SyntheticAccount(**{"first_day": first, "last_day": last, "calls_per_day": calls_per_day, **settings})


class Clock:
    """Time that only passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def deadline(self, minutes: float | None = None) -> Deadline:
        return Deadline(minutes, self, self.sleep)


class Warehouse:
    """A DuckDB file, the pipeline that loads into it, and what a reader finds there."""

    def __init__(self, folder: Path, name: str = "comagic") -> None:
        self.file = folder / f"{name}_pipeline.duckdb"
        self.pipeline = dlt.pipeline(
            pipeline_name=name,
            destination=dlt.destinations.duckdb(str(self.file), supports_transactions=True),
            dataset_name="comagic",
            pipelines_dir=str(folder / f"{name}_pipelines"),
        )

    def load(self, sandbox: SandboxServer, **settings: Any) -> None:
        """One run of the pipeline against a sandbox."""
        access = {"credentials": KeyCredentials(access_token=KEY), "base_url": sandbox.base_url}
        self.pipeline.run(comagic_source(**{**access, **settings}), loader_file_format="parquet").raise_on_failed_jobs()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query; times come as UTC."""
        with duckdb.connect(str(self.file), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET search_path = 'comagic'")
            return connection.execute(sql).fetchall()

    def calls(self) -> dict[int, dict[str, Any]]:
        """The loaded calls by id, lists as lists again, times as UTC."""
        found = {row["id"]: row for row in self._rows("calls")}
        by_key = {row["_dlt_id"]: row for row in found.values()}
        for name in self._lists():
            for row in found.values():
                row[name] = []
            for child in self._rows(f"calls__{name}", "_dlt_list_idx"):
                parent = by_key[child["_dlt_root_id"]]  # an orphan would be a KeyError
                item = {key: value for key, value in child.items() if not key.startswith("_dlt")}
                parent[name].append(item["value"] if list(item) == ["value"] else item)
        return {key: {n: v for n, v in row.items() if not n.startswith("_dlt")} for key, row in found.items()}

    def _lists(self) -> list[str]:
        tables = self.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'comagic'")
        return [name.removeprefix("calls__") for (name,) in tables if name.startswith("calls__")]

    def _rows(self, table: str, order: str = "id") -> list[dict[str, Any]]:
        columns = self.query(
            "SELECT column_name FROM information_schema.columns "
            f"WHERE table_schema = 'comagic' AND table_name = '{table}' ORDER BY ordinal_position"
        )
        names = [name for (name,) in columns]
        listed = ", ".join(f'"{name}"' for name in names)
        rows = self.query(f"SELECT {listed} FROM {table} ORDER BY {order}")
        return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """An empty warehouse."""
    return Warehouse(tmp_path)


class BigQuery(Warehouse):
    """A project of the emulator of BigQuery, and what a reader finds in it."""

    def __init__(self, host: str, project: str) -> None:
        self.project = project
        self.environment = {
            "BIGQUERY_EMULATOR_HOST": host,
            "DESTINATION_TYPE": "bigquery",
            "DESTINATION__BIGQUERY__PROJECT_ID": project,
            "DATA_WRITER__DISABLE_COMPRESSION": "true",  # the emulator cannot read gzip
        }
        self.client = bigquery.Client(project, AnonymousCredentials(), client_options={"api_endpoint": host})  # type: ignore[no-untyped-call]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query; times come as UTC. Unqualified names are nothing to the emulator."""
        qualified = re.sub(r"\b(FROM|JOIN) (?=[a-z_])", rf"\1 `{self.project}`.comagic.", sql)
        return [tuple(row.values()) for row in self.client.query_and_wait(qualified)]

    def statements(self) -> list[str]:
        """All that was asked of the project, the oldest first."""
        return [job.query for job in self.client.list_jobs() if job.job_type == "query"][::-1]

    def _lists(self) -> list[str]:
        names = [table.table_id for table in self.client.list_tables("comagic")]
        return [name.removeprefix("calls__") for name in names if name.startswith("calls__")]

    def _rows(self, table: str, order: str = "id") -> list[dict[str, Any]]:
        found = self.client.query_and_wait(f"SELECT * FROM `{self.project}`.comagic.{table} ORDER BY {order}")
        return [dict(row.items()) for row in found]


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


def expected_calls(account: SyntheticAccount, start: datetime, end: datetime = FAR) -> dict[int, dict[str, Any]]:
    """What has to be in the warehouse: the account's own calls, times of its zone as UTC, null lists empty."""
    zone = pendulum.timezone(account.timezone)

    def converted(name: str, value: Any, of: dict[str, Any]) -> Any:
        if name in of and of[name].type == LIST:
            items = of[name].children
            return [
                {key: converted(key, item.get(key), items) for key in items} if items else item for item in value or []
            ]
        if value is not None and name in of and of[name].type == TIME:
            return datetime.fromisoformat(value).replace(tzinfo=zone).astimezone(pendulum.UTC)
        return value

    calls = {}
    for call in account.calls(start, end, now=FAR):
        row = {name: converted(name, call[name], dict(CALLS.fields)) for name in CALLS.selected}
        row["partition_date"] = datetime.fromisoformat(call["start_time"]).date()
        calls[call["id"]] = row
    return calls


def differences(loaded: dict[int, dict[str, Any]], expected: dict[int, dict[str, Any]]) -> list[str]:
    """What differs, in words; the first few."""
    found = [f"missing {key}" for key in expected.keys() - loaded.keys()]
    found += [f"extra {key}" for key in loaded.keys() - expected.keys()]
    for key in expected.keys() & loaded.keys():
        for name, value in expected[key].items():
            got = loaded[key].get(name, [] if value == [] else "no column")
            if got != value:
                found.append(f"{key}.{name}: {got!r} instead of {value!r}")
    return found[:10]
