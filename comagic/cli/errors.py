"""Turns whatever stopped a command into a message and an exit code."""

import json
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import click
from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigurationException,
    ConfigValueCannotBeCoercedException,
)
from dlt.common.destination.exceptions import (
    DestinationException,
    DestinationTerminalException,
    InvalidDestinationReference,
    UnknownDestinationModule,
)
from dlt.common.exceptions import DltException, MissingDependencyException, SignalReceivedException
from dlt.normalize.exceptions import NormalizeJobFailed

from ..api.client import NO_CREDENTIALS
from ..exceptions import (
    AccessError,
    ComagicError,
    ConfigurationError,
    MalformedResponseError,
    RequestError,
    StatusError,
    TooLargeError,
    TooManyColumnsError,
    WindowTooDenseError,
)
from ..load.destinations import BUSY_REASONS
from ..redaction import mask, one_line, printable
from ..settings import ConnectionSettings
from .program import is_installed_command

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_EARLY = 75
EXIT_INTERRUPTED = 130

REJECTED_STATUSES = (400, 401, 403, 404)
"""Google's HTTP statuses for what is lasting."""
REJECTED_STATES = ("28", "3D", "3F", "42")
"""Classes of SQLSTATE, PostgreSQL's documentation, appendix A: authorization, catalog and schema names, access."""

REJECTED = "The destination rejected the load: "
CLIENT_EXCEPTION = "client_exception"
"""Where dlt's error about a load job keeps what the destination raised; its own message has the traceback as text."""

UNREACHABLE = "The destination cannot be reached from this machine: check its network and the address."
WORKER_ENDED = (
    "A process that normalizes rows was ended by the system. If memory is short, set workers = 1 under [normalize] in "
    ".dlt/config.toml, or NORMALIZE__WORKERS=1."
)
RESUMES = "Loaded data is kept; the next run resumes."


def explain(error: BaseException) -> str:
    """What happened and what to do, for the user, without secrets; empty if only a traceback can say."""
    return one_line(mask(_explain(error)))


def _explain(error: BaseException) -> str:
    chain = [cause for cause in causes(error) if not hasattr(cause, CLIENT_EXCEPTION)]
    rows = next((_rows_of(cause) for cause in causes(error) if hasattr(cause, CLIENT_EXCEPTION)), "")
    for cause in chain:
        if rows and (_is_google(cause) or isinstance(cause, DestinationException)):
            return _with_advice(f"{REJECTED}{rows}{_brief(cause)}")
        for kind, message in MESSAGES:
            if isinstance(cause, kind):
                return message(cause)
        if _is_google(cause):
            unreachable = f" {UNREACHABLE}" if type(cause).__name__ == "RetryError" else ""
            return _with_advice(f"BigQuery: {_brief(cause)}") + unreachable
        if _is_postgres(cause):
            return _with_advice(f"PostgreSQL: {_brief(cause).rstrip('.?')}.")
    if isinstance(chain[-1], OSError) or (isinstance(error, DltException) and not _is_bug(chain[-1])):
        unreachable = f" {UNREACHABLE}" if isinstance(chain[-1], ConnectionError) else ""
        return f"{type(chain[-1]).__name__}: {_brief(chain[-1])}{unreachable}"
    return ""


def _rows_of(error: BaseException) -> str:
    """Which rows a load job was about: its id begins with the table."""
    return f"the rows of {str(getattr(error, 'job_id', '')).partition('.')[0]}: "


def exit_code(error: BaseException) -> int:
    """75 for an early stop, 130 for an interruption, 2 for wrong usage or configuration, 1 for every other failure."""
    for cause in causes(error):
        if _is_termination(cause) or (isinstance(cause, ComagicError) and cause.is_early_stop):
            return EXIT_EARLY
        if isinstance(cause, KeyboardInterrupt):
            return EXIT_INTERRUPTED
    wrong = (
        ConfigurationError,
        ConfigFieldMissingException,
        ConfigValueCannotBeCoercedException,
        UnknownDestinationModule,
        InvalidDestinationReference,
        MissingDependencyException,
    )
    return EXIT_USAGE if any(isinstance(cause, wrong) for cause in causes(error)) else EXIT_FAILED


def is_permanent(error: BaseException) -> bool:
    """True if every retry would fail the same way: somebody has to fix a setting, a permission, a key.

    A retry reads the lookback again and costs the API's quota, so what the destination rejects is permanent too, unless
    it says that it is busy.
    """
    if exit_code(error) == EXIT_USAGE or isinstance(error, click.UsageError):
        return True
    if any(_is_busy(cause) for cause in causes(error)):
        return False
    permanent = (
        *(AccessError, RequestError, StatusError),
        *(MalformedResponseError, TooLargeError, TooManyColumnsError, WindowTooDenseError),
        DestinationTerminalException,
    )
    return any(isinstance(cause, permanent) or _is_rejected(cause) for cause in causes(error))


def _is_busy(error: BaseException) -> bool:
    """True if Google says to try later: too many requests at once, or a service that is down."""
    reasons = {str(one.get("reason")) for one in getattr(error, "errors", None) or () if isinstance(one, dict)}
    return _is_google(error) and bool(reasons & BUSY_REASONS)


def _is_rejected(error: BaseException) -> bool:
    """True for an answer of a destination that will be the same tomorrow: not allowed, not found, not valid."""
    status, state = getattr(error, "code", None), getattr(error, "pgcode", None)
    is_rejected = (_is_google(error) and status in REJECTED_STATUSES) or str(state)[:2] in REJECTED_STATES
    return is_rejected or (_is_postgres(error) and bool(re.search(REJECTED_CONNECTION, str(error))))


def _is_google(error: BaseException) -> bool:
    return type(error).__module__.startswith("google.")


def _is_postgres(error: BaseException) -> bool:
    return type(error).__module__.startswith("psycopg2")


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, outermost first."""
    seen = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        inner = None if current.__suppress_context__ else current.__context__
        current = getattr(current, CLIENT_EXCEPTION, None) or current.__cause__ or inner


def _comagic(error: ComagicError) -> str:
    return f"{error} {RESUMES}" if error.is_early_stop else str(error)


def _interrupted(error: KeyboardInterrupt) -> str:
    return f"{'Terminated' if _is_termination(error) else 'Interrupted'}. {RESUMES}"


def _missing_setting(error: ConfigFieldMissingException) -> str:
    if error.spec_name == ConnectionSettings.__name__:
        folder = Path.cwd()
        hint = f" There is no folder .dlt in {folder}: start the program in the project's folder."
        return NO_CREDENTIALS + ("" if (folder / ".dlt").is_dir() or is_installed_command() else hint)
    if error.spec_name == "BigQueryClientConfiguration":
        return (
            "BigQuery: no credentials were found. Run `gcloud auth application-default login`, or run as a service "
            "account, or set its key as destination.bigquery.credentials in .dlt/secrets.toml; see docs/bigquery.md."
        )
    return f"The configuration lacks {', '.join(error.fields)} ({error.spec_name}). {_brief(error)}"


def _wrong_type(error: ConfigValueCannotBeCoercedException) -> str:
    kind = "a whole number" if "int" in str(error.hint) else "text"
    return f"sources.comagic.{error.field_name}: the configured value has the wrong type; it has to be {kind}."


def _is_termination(error: BaseException) -> bool:
    return isinstance(error, SignalReceivedException) and error.signal_code == signal.SIGTERM


def _is_bug(error: BaseException) -> bool:
    """True for an error of this program, which only a traceback explains."""
    return type(error).__module__ == "builtins"


def _brief(error: BaseException) -> str:
    text = str(error).split("The actual reason given is:")[-1]  # dlt's way to wrap what a destination says
    if job := re.search(r'job_id=(\w+)\..*?"message":("(?:[^"\\]|\\.)*")', text):  # a load job of BigQuery, as JSON
        text = f"the rows of {job.group(1)}: {json.loads(job.group(2))}"
    head, mark, trace = text.partition("Traceback (most recent call last):")  # of a load job that could not be sent
    if mark:
        text = head + next(
            (line for line in reversed(trace.splitlines()) if line.strip() and not line[0].isspace()), ""
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable(" ".join(lines[:3]))


def _with_advice(message: str) -> str:
    """The message, with what to do where the destination's own text does not say."""
    advice = (text for pattern, text in (*BIGQUERY_ADVICE, *POSTGRES_ADVICE) if re.search(pattern, message))
    return " ".join([message, *advice][:2])


BIGQUERY_ADVICE: Sequence[tuple[str, str]] = (
    (
        r"\(or it may not exist\)",
        "If the datasets comagic and comagic_staging do not exist, create them, or grant the account the role BigQuery "
        "User (roles/bigquery.user) on the project; if they do, grant it BigQuery Data Editor "
        "(roles/bigquery.dataEditor) on them.",
    ),
    (
        r"bigquery\.jobs\.create",
        "Grant the account the role BigQuery Job User (roles/bigquery.jobUser) on the project.",
    ),
    (
        r"bigquery\.datasets\.create",
        "Create the datasets comagic and comagic_staging beforehand, or grant the account the role BigQuery User "
        "(roles/bigquery.user) on the project.",
    ),
    (
        r"Access Denied: (Dataset|Table)|bigquery\.(tables|datasets)\.",
        "Grant the account the role BigQuery Data Editor (roles/bigquery.dataEditor) on the datasets comagic and "
        "comagic_staging.",
    ),
    (
        r"invalid_grant|invalid authentication|Reauthentication",
        "Google does not accept these credentials: set another key as destination.bigquery.credentials, or without one "
        "run `gcloud auth application-default login` again.",
    ),
    (
        r"Billing has not been enabled",
        "BigQuery does not merge in a project without billing (the sandbox): enable billing for the project, then "
        "remove the expirations that its datasets and tables have from that time: docs/bigquery.md.",
    ),
    (
        r"Project was not passed",
        "Set the project: destination.bigquery.project_id in .dlt/config.toml.",
    ),
    (
        r"bytesBilledLimitExceeded|bytes billed",
        "The query would bill more than sources.comagic.maximum_bytes_billed: raise it, or load a shorter period.",
    ),
    (
        r"not found in location",
        "Set destination.bigquery.location to where the dataset comagic is; a dataset cannot be moved.",
    ),
)
"""What to do by BigQuery's text (from Google's documentation of errors): the first pattern that matches."""

POSTGRES_ADVICE: Sequence[tuple[str, str]] = (
    (
        r"password authentication failed|no password supplied|role .* does not exist",
        "Set user and password: destination.postgres.credentials in .dlt/secrets.toml; see docs/postgres.md.",
    ),
    (
        r"database .* does not exist",
        "Create it, or set another one: destination.postgres.credentials in .dlt/secrets.toml; see docs/postgres.md.",
    ),
    (
        r"permission denied for database",
        "Grant the role CREATE on the database, or create the schemas comagic and comagic_staging for it; see "
        "docs/postgres.md.",
    ),
    (
        r"permission denied for|must be owner of",
        "Make the role the owner of the schemas comagic and comagic_staging and of their tables; see docs/postgres.md.",
    ),
    (
        r"no pg_hba\.conf entry|SSL|certificate",
        "For TLS add ?sslmode=verify-full&sslrootcert=FILE to destination.postgres.credentials, with the file of the "
        "server's certificate authority; see docs/postgres.md.",
    ),
    (
        r"timeout expired|timed out|refused|could not translate host name|No such file or directory|unreachable",
        UNREACHABLE,
    ),
)
"""What to do by PostgreSQL's text, as libpq and the server word it: the first pattern that matches."""
REJECTED_CONNECTION = (
    r"password authentication failed|no password supplied|does not exist|no pg_hba\.conf entry|certificate|does not "
    "support SSL"
)
"""Connections that would fail the same way tomorrow; they carry no SQLSTATE."""

MESSAGES: Sequence[tuple[type[BaseException], Callable[[Any], str]]] = (
    (ComagicError, _comagic),
    (KeyboardInterrupt, _interrupted),
    (ConfigFieldMissingException, _missing_setting),
    (ConfigValueCannotBeCoercedException, _wrong_type),
    (
        UnknownDestinationModule,
        lambda error: f"There is no destination {str(error.ref)!r}; use duckdb, bigquery or postgres.",
    ),
    (MissingDependencyException, lambda error: f"A package is missing. {_brief(error)}"),
    (NormalizeJobFailed, _brief),
    (BrokenProcessPool, lambda _: f"{WORKER_ENDED} {RESUMES}"),
    (DestinationException, lambda error: _with_advice(f"{REJECTED}{_brief(error)}")),
    (ConfigurationException, lambda error: f"The configuration is wrong: {_brief(error)}"),
)
"""Messages by kind of error, the first that matches."""
