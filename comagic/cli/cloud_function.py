"""What a Cloud Function needs beside the command line: the request in a message, JSON logs for Cloud Logging, retries.

Pub/Sub delivers a message at least once, and again with growing pauses as long as the function fails (for a day, if
retries are enabled). So a transient error is raised, and a lasting one is logged and the message acknowledged.
"""

import base64
import binascii
import io
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import dlt
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs import PluggableRunContext

from ..exceptions import BusyError, ConfigurationError
from ..load.runner import Load
from ..redaction import printable
from ..settings import SOURCE_SECTION
from .cloud_log import FAILED, LOADED, REJECTED, STOPPED_EARLY, entry, log, log_outcome, outcome_of
from .commands import cli
from .errors import explain
from .options import RunLoad
from .output import err, out
from .process import prepare_process

EVENT_MINUTES = 8.0
"""Time limit of a run that an event started, unless one is configured: functions are killed after 9 minutes."""
HTTP_MINUTES = 55.0
"""The same for an HTTP request, which may take 60."""
DATA_FOLDER = "DLT_DATA_DIR"
HISTORY_COMMAND = "COMAGIC_HISTORY_COMMAND"
"""Environment variable with the command that starts the history job; Terraform sets it where there is the job."""

Function = TypeVar("Function", bound=Callable[..., Any])

REQUEST_KEYS = ("since", "until", "resources", "lookback_days")
_RUNNING = Lock()


class BadRequestError(ConfigurationError):
    """A message or request that asks for something impossible; a retry would not help."""


def entry_point(kind: str) -> Callable[[Function], Function]:
    """Registers a function with Google's Functions Framework, where that imports this program.

    Args:
        kind: `cloud_event` or `http`.
    """
    framework = sys.modules.get("functions_framework")
    return getattr(framework, kind) if framework else lambda function: function


def serve_event(event: Any, run: RunLoad) -> None:
    """Loads what a Pub/Sub message asks for; after an early stop, the next message resumes.

    Args:
        event: the CloudEvent; the message's data may be JSON with `since`, `until` and `resources`.
        run: gives each source of a load to a pipeline.

    Raises:
        Exception: a transient error, so that Pub/Sub sends the message again.
    """
    serve(lambda: parse_event(event), EVENT_MINUTES, run)


def serve_request(request: Any, run: RunLoad) -> tuple[dict[str, str], int]:
    """Loads what an HTTP request asks for, whose body is like a message's data.

    Args:
        request: Flask's request.
        run: gives each source of a load to a pipeline.

    Returns:
        The outcome and a message, and the HTTP status: 200 if all is loaded or the next request resumes, 400 for a bad
        request or configuration, 500 for an error.
    """
    try:
        outcome, message = serve(lambda: parse_request(request.get_data(as_text=True)), HTTP_MINUTES, run)
    except Exception as error:
        return {"outcome": FAILED, "message": explain(error) or type(error).__name__}, 500
    return {"outcome": outcome, "message": message}, 400 if outcome == REJECTED else 200


def serve(parse: Callable[[], list[str]], max_minutes: float, run: RunLoad) -> tuple[str, str]:
    """Runs a load and logs its outcome.

    Args:
        parse: gives the command line's arguments, or raises `BadRequestError`.
        max_minutes: time limit of the load, unless one is configured.
        run: gives each source of a load to a pipeline.

    Returns:
        `loaded`, `stopped early`, or `rejected` for what would fail again; and the message that says why.

    Raises:
        Exception: a transient error.
    """
    outcome, message = LOADED, ""
    loads: list[Load] = []

    def remember_and_run(load: Load) -> None:
        loads.append(load)
        run(load)

    try:
        with _exclusive(), _json_logs():
            prepare_process()
            prepare()
            cli(["load", *_time_limit(max_minutes), *parse()], standalone_mode=False, obj=remember_and_run)
    except Exception as error:
        outcome, message = outcome_of(error)
        if outcome == FAILED:
            log_outcome(outcome, message)
            raise
    if outcome == STOPPED_EARLY:
        message = " ".join([message, *map(history_advice, loads)]).strip()
    log_outcome(outcome, message)
    return outcome, message


def history_advice(load: Load) -> str:
    """What to do when a load that stopped early has more left than a few runs will read; else empty.

    More than a nightly load ever reads again is a first load: years of calls, of which a run reads minutes.
    """
    nightly = timedelta(days=load.settings.lookback_days + load.settings.window_days)
    behind = [sync for sync in load.progress.syncs.values() if sync.finished and sync.end - sync.position > nightly]
    if load.since or not behind:
        return ""
    last = max(behind, key=lambda sync: sync.planned - sync.finished)
    runs = -(-(last.planned - last.finished) // last.finished)
    command = os.environ.get(HISTORY_COMMAND) or "deploy/README.md, Cloud Run job"
    return (
        f"{last.resource} has come to {last.position:%Y-%m-%d} of {last.end:%Y-%m-%d}; at this pace the rest takes "
        f"about {runs} runs. Start the history job once; it loads the rest without this time limit: {command}"
    )


def parse_event(event: Any) -> list[str]:
    """The command line's arguments for a Pub/Sub message.

    Args:
        event: the CloudEvent; its data is `{"message": {"data": base64}}`, where the data is JSON or empty.

    Raises:
        BadRequestError: there is no message, or it asks for something unknown.
    """
    data = event.data
    message = data.get("message") if isinstance(data, Mapping) else None
    if not isinstance(message, Mapping):
        raise BadRequestError(f"The event has no Pub/Sub message: {printable(repr(data))}.")
    try:
        return parse_request(base64.b64decode(message.get("data") or "", validate=True).decode())
    except (binascii.Error, UnicodeDecodeError, TypeError) as error:
        raise BadRequestError(f"The message's data is not base64 of UTF-8 text: {error}.") from None


def parse_request(text: str) -> list[str]:
    """The command line's arguments for a JSON object such as `{"since": "2026-01-01", "resources": ["calls"]}`.

    An empty text means to load what is new, as `{}` does.

    Raises:
        BadRequestError: it is not such an object, or has an unknown key.
    """
    try:
        request: dict[str, Any] = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"The request is not JSON ({printable(str(error))}): {printable(repr(text))}.") from None
    if not isinstance(request, dict):
        raise BadRequestError(f"The request is not a JSON object: {printable(repr(text))}.")
    for name, value in request.items():
        if name not in REQUEST_KEYS:
            raise BadRequestError(f"The request has {name!r}; known are {', '.join(REQUEST_KEYS)}.")
        if name == "resources" and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            raise BadRequestError(f"The request's resources are {value!r}, not a list of names.")
        if name == "lookback_days" and type(value) is not int:
            raise BadRequestError(f"The request's lookback_days is {value!r}, not a whole number.")
        if name in ("since", "until") and not isinstance(value, str):
            raise BadRequestError(f"The request's {name} is {value!r}, not a date in quotation marks.")
    options = {"since": "--since", "until": "--until", "lookback_days": "--lookback-days"}
    arguments = [word for name in options if name in request for word in (options[name], str(request[name]))]
    return arguments + [word for name in request.get("resources", ()) for word in ("--resource", name)]


def prepare() -> None:
    """Moves dlt's own files to where a function can write: in memory, under the temporary folder, unless it is set.

    Raises:
        ConfigurationError: no destination is configured: a DuckDB file would be lost with the function.
    """
    if DATA_FOLDER not in os.environ:
        os.environ[DATA_FOLDER] = str(Path(tempfile.gettempdir()) / "dlt")
        Container()[PluggableRunContext].reload()
    if dlt.config.get("destination_type") in (None, "duckdb"):
        raise ConfigurationError(
            "DESTINATION_TYPE: a function keeps no files, so a DuckDB file would be lost with it; set bigquery "
            "or postgres."
        )


def _time_limit(minutes: float) -> list[str]:
    """The command line's arguments for the time limit, unless one is configured.

    Past its own limit a platform does not end the work, it slows it down, into the next event's time.
    """
    is_configured = dlt.config.get(f"{SOURCE_SECTION}.max_minutes") is not None
    return [] if is_configured else ["--max-minutes", f"{minutes:g}"]


@contextmanager
def _exclusive() -> Iterator[None]:
    """Keeps a second run out of this process while its `with` block lasts; other processes have a file's lock.

    Raises:
        BusyError: there is a run.
    """
    if not _RUNNING.acquire(blocking=False):
        raise BusyError("Another run is active here, started by another event. Nothing was loaded.")
    try:
        yield
    finally:
        _RUNNING.release()


@contextmanager
def _json_logs() -> Iterator[None]:
    """Turns what is printed, and Python's logs, into lines of JSON while its `with` block lasts.

    The summary at a load's end is one entry, its progress an entry per line. See Google's and Yandex's Structured logs.
    """
    summary = io.StringIO()
    out.file, err.file = summary, _LogLines()
    handler = _JsonHandler(sys.stdout)
    logger = logging.getLogger("dlt")
    handlers, logger.handlers = logger.handlers, [handler]
    try:
        yield
    finally:
        out.file = err.file = None  # type: ignore[assignment]  # rich's default: sys.stdout and sys.stderr of the moment
        logger.handlers = handlers
        if summary.getvalue().strip():
            log("INFO", summary.getvalue().strip())


class _LogLines(io.StringIO):
    """A file whose lines become log entries."""

    def write(self, text: str) -> int:
        """Takes text; complete lines are logged."""
        written = super().write(text)
        *complete, rest = self.getvalue().split("\n")
        for line in filter(str.strip, complete):
            log("WARNING" if line.startswith("Warning:") else "INFO", line)
        self.seek(0)
        self.truncate()
        super().write(rest)
        return written


class _JsonHandler(logging.StreamHandler):  # type: ignore[type-arg]  # not generic when the program runs
    """Python's log records as entries; not by a formatter, since dlt replaces it for each pipeline."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        return entry(record.levelname, record.getMessage(), logger=record.name)
