"""What a Cloud Function needs beside the command line: an order from a message, logs that Cloud Logging reads, retries.

Pub/Sub delivers a message at least once, and again with growing pauses as long as the function fails (for a day, where
retries are switched on). So a fault that passes is raised, and one that stays is logged and the message is done with.
"""

import base64
import binascii
import io
import json
import logging
import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Callable, Dict, Iterator, List, Mapping, TypeVar

import dlt
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs import PluggableRunContext
from rich.console import Console

from ..exceptions import BusyError, ConfigurationError

EVENT_MINUTES = 8.0
"""What a run may take that an event began, unless it is configured: functions are cut off after 9 minutes at most."""
HTTP_MINUTES = 55.0
"""The same for a request by HTTP, which may take 60."""

Function = TypeVar("Function", bound=Callable[..., Any])

DATA_FOLDER = "DLT_DATA_DIR"
MAX_MINUTES = "sources.comagic.max_minutes"
_RUNNING = Lock()

KNOWN = ("since", "until", "resources")


class OrderError(ConfigurationError):
    """A message or request that asks for something that cannot be; it never will."""


def entry_point(kind: str) -> Callable[[Function], Function]:
    """Registers a function with Google's Functions Framework, where that is installed: Google's build installs it.

    Args:
        kind: `cloud_event` or `http`.
    """
    try:
        import functions_framework
    except ImportError:
        return lambda function: function
    registered: Callable[[Function], Function] = getattr(functions_framework, kind)
    return registered


def order_of_event(event: Any) -> List[str]:
    """The command line's words for what a Pub/Sub message asks for.

    Args:
        event: the CloudEvent; its data is `{"message": {"data": base64}}`, where the data is JSON or empty.

    Raises:
        OrderError: the message is none, or asks for something unknown.
    """
    data = event.data
    message = data.get("message") if isinstance(data, Mapping) else None
    if not isinstance(message, Mapping):
        raise OrderError(f"The event carries no Pub/Sub message: {str(data)[:200]!r}.")
    try:
        return order_of_text(base64.b64decode(message.get("data") or "", validate=True).decode())
    except (binascii.Error, UnicodeDecodeError, TypeError) as error:
        raise OrderError(f"The message's data is not base64 of UTF-8 text: {error}.") from None


def order_of_text(text: str) -> List[str]:
    """The command line's words for an order, a JSON object such as `{"since": "2026-01-01", "resources": ["calls"]}`.

    Nothing at all is the order to load what is new, as `{}` is.

    Raises:
        OrderError: it is no such object, or names something unknown.
    """
    try:
        order: Dict[str, Any] = json.loads(text or "{}")
    except ValueError as error:
        raise OrderError(f"The order is not JSON ({error}): {text[:200]!r}.") from None
    if not isinstance(order, dict):
        raise OrderError(f"The order is not a JSON object: {text[:200]!r}.")
    for name, value in order.items():
        if name not in KNOWN:
            raise OrderError(f"The order has {name!r}; known are {', '.join(KNOWN)}.")
        if name == "resources" and not (isinstance(value, list) and all(isinstance(of, str) for of in value)):
            raise OrderError(f"The order's resources are {value!r}, not a list of names.")
        if name != "resources" and not isinstance(value, str):
            raise OrderError(f"The order's {name} is {value!r}, not a date in quotation marks.")
    words = [word for name in ("since", "until") if name in order for word in (f"--{name}", order[name])]
    return words + [word for name in order.get("resources", ()) for word in ("--resource", name)]


def prepare() -> None:
    """Puts dlt's own files where a function can write: in memory, under the temporary folder, unless it is set.

    Raises:
        ConfigurationError: nobody said where to load to: a DuckDB file would be gone with the function.
    """
    if DATA_FOLDER not in os.environ:
        os.environ[DATA_FOLDER] = str(Path(tempfile.gettempdir()) / "dlt")
        Container()[PluggableRunContext].reload()
    if dlt.config.get("destination_type") in (None, "duckdb"):
        raise ConfigurationError(
            "DESTINATION_TYPE: a function keeps no files, so a DuckDB file would be gone with it; set bigquery."
        )


def time_limit(minutes: float) -> List[str]:
    """The command line's words for a run's time, unless it is configured.

    Past its limit a platform does not end the work, it slows it down, into the next event's time.
    """
    return [] if dlt.config.get(MAX_MINUTES) is not None else ["--max-minutes", f"{minutes:g}"]


@contextmanager
def alone() -> Iterator[None]:
    """Keeps a second run out of this process while its `with` block lasts; runs of other processes have a file's lock.

    Raises:
        BusyError: there is a run.
    """
    if not _RUNNING.acquire(blocking=False):
        raise BusyError("Another run is loading here, begun by another event. Nothing was done.")
    try:
        yield
    finally:
        _RUNNING.release()


@contextmanager
def logged(out: Console, err: Console) -> Iterator[None]:
    """Makes what is written to two consoles, and to Python's logs, lines of JSON while its `with` block lasts.

    What a load says at its end is one entry, its progress an entry a line. See Google's Structured logging.
    """
    summary = io.StringIO()
    before = out.file, err.file
    out.file, err.file = summary, _Lines()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonFormatter())
    logger = logging.getLogger("dlt")
    handlers, logger.handlers = logger.handlers, [handler]
    try:
        yield
    finally:
        out.file, err.file = before
        logger.handlers = handlers
        if summary.getvalue().strip():
            log("INFO", summary.getvalue().strip())


def log(severity: str, message: str, **more: Any) -> None:
    """Writes an entry of the log, a line of JSON as Cloud Logging reads it."""
    sys.stdout.write(json.dumps({"severity": severity, "message": message, **more}, ensure_ascii=False) + "\n")
    sys.stdout.flush()


class _Lines(io.StringIO):
    """A file of which each line becomes an entry of the log."""

    def write(self, text: str) -> int:
        """Takes text in; lines that are complete are logged."""
        written = super().write(text)
        *whole, rest = self.getvalue().split("\n")
        for line in filter(str.strip, whole):
            log("WARNING" if line.startswith("Warning:") else "INFO", line)
        self.seek(0)
        self.truncate()
        super().write(rest)
        return written


class _JsonFormatter(logging.Formatter):
    """Python's log records as entries."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        return json.dumps({"severity": record.levelname, "message": record.getMessage(), "logger": record.name})
