"""Locks in a BigQuery dataset: tables without rows, whose description says who holds them.

BigQuery has no locks, but two of its operations are atomic: of several `tables.insert` of one name, one succeeds; and
`tables.patch` with `If-Match` changes a table only if nobody else has changed it in between
(https://cloud.google.com/bigquery/docs/reference/rest/v2/tables/patch). The tables stay: a lock is taken by a patch. It
needs no permission beyond those of a load.

A holder patches its lock once a minute. One that has not done so for ten minutes, by BigQuery's own clock, is taken to
be dead, and the next load takes the lock over; the next load from the same folder does so at once.
"""

import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from threading import Event, Lock, Thread
from typing import Any

from dlt.common import logger
from dlt.common.json import json
from google.api_core.exceptions import Conflict, GoogleAPIError, NotFound, PreconditionFailed
from google.cloud.bigquery import Table

from ..exceptions import BusyError, LeaseLostError

RENEW_SECONDS = 60.0
EXPIRES_AFTER = timedelta(minutes=10)
"""Clocks may differ by some minutes: Google refuses the credentials of a machine whose clock is further off."""

LOAD_LOCK = "load_lock"
"""Name of the table that a load holds from its beginning to its end."""
MERGE_LOCK = "merge_lock"
"""Name of the table that is held while tables are created or merged: parallel tasks take turns."""


class TableLock:
    """One lock.

    Args:
        google: Google's client; nothing else may use it at the same time.
        table: qualified name of the lock's table.
        limits: `retry` and `timeout` of each request.
        folder: a name that only one process uses at a time: an earlier holder of the same name is dead.
    """

    def __init__(self, google: Any, table: str, limits: dict[str, Any], folder: str = "") -> None:
        self._google = google
        self._name = table
        self._limits = limits
        self._token = uuid.uuid4().hex
        self._folder = folder
        self._table: Any = None
        self._lock = Lock()  # it is renewed in a thread of its own

    def acquire(self) -> str | None:
        """Takes the lock.

        Returns:
            None if it is held now; else who holds it, in words.
        """
        try:
            self._table = self._google.create_table(self._described(Table(self._name)), **self._limits)
            return None
        except Conflict:  # it was created earlier, or by this request, whose response was lost
            found = self._get()
        holder = _parse(found.description)
        is_mine = holder.get("token") == self._token or (self._folder and holder.get("folder") == self._folder)
        if holder.get("is_held") and not is_mine:
            age = datetime.now(UTC) - found.modified
            if age < EXPIRES_AFTER:
                ends = found.modified + EXPIRES_AFTER
                return (
                    f"{holder.get('holder')} (last seen {max(age.total_seconds(), 0):.0f} seconds ago; if it was "
                    f"killed, its lock ends at {ends:%H:%M} UTC)"
                )
        return None if self._patch(found, is_held=True) else "another load has just started"

    def renew(self) -> None:
        """Checks that the lock is held, and holds it for another ten minutes.

        Raises:
            LeaseLostError: another load has taken it over.
            GoogleAPIError: BigQuery does not respond.
        """
        with self._lock:
            if self._table is None or not self._patch(self._table, is_held=True):
                raise LeaseLostError(
                    f"The lock {self._name} was lost, since it was not renewed for {EXPIRES_AFTER.seconds // 60} "
                    "minutes: was this machine asleep? Another load may have started. This one stopped before its "
                    "merge; its rows are read again by the next load."
                )

    def release(self) -> None:
        """Releases the lock; if that fails, it ends by itself."""
        with self._lock, suppress(GoogleAPIError, OSError):
            if self._table is not None:
                self._patch(self._table, is_held=False)
            self._table = None

    def _patch(self, table: Any, is_held: bool) -> bool:
        """Changes the lock if nobody else has changed it; True if it is this one's afterwards."""
        try:
            self._table = self._google.update_table(self._described(table, is_held), ["description"], **self._limits)
            return True
        except NotFound:
            return False
        except PreconditionFailed:
            found = self._get()
            if _parse(found.description).get("token") != self._token:
                return False
            self._table = found  # the response to an earlier try of this request was lost
            return True

    def _get(self) -> Any:
        return self._google.get_table(self._name, **self._limits)

    def _described(self, table: Any, is_held: bool = True) -> Any:
        described = Table.from_api_repr(table.to_api_repr())
        described.description = json.dumps(
            {
                "folder": self._folder,
                "holder": f"comagic on {socket.gethostname()}, process {os.getpid()}",
                "is_held": is_held,
                "renewed_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "token": self._token,
            }
        )
        return described


def _parse(description: str | None) -> dict[str, Any]:
    with suppress(ValueError):
        parsed = json.loads(description or "{}")
        return parsed if isinstance(parsed, dict) else {}
    return {}


@contextmanager
def hold_table_lock(
    google: Any, table: str, limits: dict[str, Any], wait: Callable[[], bool], folder: str = ""
) -> Iterator[Callable[[], None]]:
    """Holds a lock while its `with` block lasts; a thread renews it.

    Args:
        google: Google's client; nothing else may use it at the same time.
        table: qualified name of the lock's table, in an existing dataset.
        limits: `retry` and `timeout` of each request.
        wait: called when another one holds it: waits a moment, and returns whether to try again.
        folder: see `TableLock`.

    Yields:
        A function that checks the lock: it raises `LeaseLostError` if another one has taken it over.

    Raises:
        BusyError: another one holds it; the text names the holder.
    """
    lock = TableLock(google, table, limits, folder)
    while holder := lock.acquire():
        if not wait():
            raise BusyError(
                f"Another load into the dataset {table.rpartition('.')[0]} is active: {holder}. Nothing was loaded: "
                "wait for it to end (--wait MINUTES), or stop it."
            )
    stop = Event()

    def keep() -> None:
        while not stop.wait(RENEW_SECONDS):
            try:
                lock.renew()
            except LeaseLostError:
                return  # the check before the merge tells
            except Exception as error:  # the next try may succeed
                logger.warning(f"The lock {table} could not be renewed: {error}")

    thread = Thread(target=keep, name=table, daemon=True)
    thread.start()
    try:
        yield lock.renew
    finally:
        stop.set()
        thread.join()
        lock.release()
