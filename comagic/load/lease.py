"""One load at a time into a dataset: a lease on it, taken before a request to the API is made.

dlt has one staging dataset for a dataset: of two loads at once, from two machines, the second would empty what the
first has staged, and the first would merge nothing and report success. A lease is held in the destination itself:

| destination | lease |
| --- | --- |
| DuckDB | a lock of the operating system on `<file>.lock`, beside the database |
| PostgreSQL | a session's advisory lock, in a connection of its own; its `application_name` says who holds it |
| BigQuery | the description of a table, `load_lock`, patched with `If-Match`; see `bigquery_lock` |
| others | none: start one load at a time |
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..exceptions import BusyError, LeaseLostError
from .destinations import BIGQUERY, DUCKDB, POSTGRES, AnyDestination, duckdb_file, open_client
from .postgres import check_privileges, check_session

SECONDS_BETWEEN_ATTEMPTS = 5.0

Lease = Callable[[], None]
"""Checks that the lease is still held; raises `LeaseLostError` if it is not."""


def hold_dataset(
    destination: AnyDestination, dataset_name: str, wait: Callable[[], bool], folder: str = ""
) -> AbstractContextManager[Lease]:
    """Holds the lease on a dataset while its `with` block lasts; it ends with the process, however that ends.

    In BigQuery it outlives a process that is killed: by ten minutes, or until the next load from the same folder.

    Args:
        destination: the destination.
        dataset_name: the dataset.
        wait: called when another load holds it: waits a moment, and returns whether to try again.
        folder: name of dlt's working folder; see `exclusive_run`.

    Raises:
        BusyError: another load holds it; the text names the holder.
    """
    if destination.destination_type == DUCKDB:
        file = duckdb_file(destination, dataset_name)
        return hold_file(file.with_name(f"{file.name}.lock"), wait) if file else nullcontext(is_held)
    if destination.destination_type == BIGQUERY:
        from .bigquery import hold_load_lock  # Google's client takes its time to import

        return hold_load_lock(destination, dataset_name, wait, folder)  # type: ignore[arg-type]
    if destination.destination_type == POSTGRES:
        return _hold_advisory_lock(destination, dataset_name, wait)
    return nullcontext(is_held)


def patience(minutes: float) -> Callable[[], bool]:
    """Returns what waits for another load, a few seconds a call, for so many minutes in all.

    Args:
        minutes: how long to wait; 0 for not at all.
    """
    end = time.monotonic() + minutes * 60

    def wait() -> bool:
        left = end - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(SECONDS_BETWEEN_ATTEMPTS, left))
        return True

    return wait


@contextmanager
def hold_file(file: Path, wait: Callable[[], bool]) -> Iterator[Lease]:
    """Holds a lock of the operating system on a file, which stays: to delete it would be a race.

    Raises:
        BusyError: another process holds it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            if not wait():
                raise BusyError(
                    f"Another run is active on this machine (it holds {file}). Nothing was loaded: wait for it to end "
                    "(--wait MINUTES), or stop it."
                ) from None
    try:
        yield is_held
    finally:
        lock.release()


def is_held() -> None:
    """A lease that cannot be lost."""


ADVISORY_KEY = "hashtext('comagic'), hashtext(%s)"
"""PostgreSQL's key of a dataset's lock; it belongs to the database of the connection."""

HOLDER = """
SELECT COALESCE(a.application_name, ''), COALESCE(host(a.client_addr), 'a local socket'), a.pid
FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory'
    AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid::bigint = hashtext('comagic')::bigint & 4294967295
    AND l.objid::bigint = hashtext(%s)::bigint & 4294967295
"""

KEEPALIVE = "SET tcp_keepalives_idle = 60; SET tcp_keepalives_interval = 15; SET tcp_keepalives_count = 4"
"""The server ends a session, and releases its lock, two minutes after the machine at the other end is gone."""


@contextmanager
def _hold_advisory_lock(destination: AnyDestination, dataset_name: str, wait: Callable[[], bool]) -> Iterator[Lease]:
    """Holds PostgreSQL's advisory lock of a dataset, in a session of its own.

    Raises:
        BusyError: another session holds it.
    """
    with open_client(destination, dataset_name) as client:
        sql = client.sql_client
        name = f"comagic on {socket.gethostname()}"[:40] + f", {os.getpid()}, {datetime.now(UTC):%m-%d %H:%MZ}"
        sql.execute_sql("SELECT set_config('application_name', %s, false)", name)
        sql.execute_sql(KEEPALIVE)
        with open_client(destination, dataset_name) as other:  # before the lock: a pooler would keep it
            check_session(sql, other.sql_client)
        check_privileges(sql)
        while not _scalar(sql, f"SELECT pg_try_advisory_lock({ADVISORY_KEY})", dataset_name):
            if not wait():
                raise BusyError(
                    f"Another load into the dataset {dataset_name} is active: {_holder(sql, dataset_name)}. Nothing "
                    "was loaded: wait for it to end (--wait MINUTES), or stop it."
                )
        session = sql.native_connection

        def check() -> None:
            if session.closed or sql.native_connection is not session or not _holds(sql, dataset_name):
                raise LeaseLostError(
                    f"The connection that held the lock on the dataset {dataset_name} was lost, so another load may "
                    "have started. This one stopped before its merge; its rows are read again by the next load."
                )

        yield check


def _holds(sql: Any, dataset_name: str) -> bool:
    try:
        mine = f"SELECT EXISTS (SELECT FROM ({HOLDER}) AS holder WHERE pid = pg_backend_pid())"  # noqa: S608
        return bool(_scalar(sql, mine, dataset_name))
    except Exception:  # whatever it is, the session cannot be asked
        return False


def _holder(sql: Any, dataset_name: str) -> str:
    rows = sql.execute_sql(HOLDER, dataset_name)
    if not rows:
        return "it has just ended"
    name, address, pid = rows[0]
    return f"{name or 'a session'} (from {address}, session {pid} of the server)"


def _scalar(sql: Any, query: str, *parameters: Any) -> Any:
    return sql.execute_sql(query, *parameters)[0][0]
