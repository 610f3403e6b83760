"""Turns whatever stopped a command into a sentence and an exit code."""

import json
import re
import signal
from typing import Any, Callable, Iterator, Sequence, Tuple, Type

import click
from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigurationException,
    ConfigValueCannotBeCoercedException,
)
from dlt.common.destination.exceptions import (
    DestinationException,
    InvalidDestinationReference,
    UnknownDestinationModule,
)
from dlt.common.exceptions import DltException, MissingDependencyException, SignalReceivedException
from dlt.normalize.exceptions import NormalizeJobFailed

from ..exceptions import (
    AccessError,
    ComagicError,
    ConfigurationError,
    RequestError,
    StatusError,
    WindowTooDenseError,
)
from ..settings import NO_ACCESS

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_EARLY = 75
EXIT_INTERRUPTED = 130

KEPT = "What was loaded is kept; the next run goes on from there."


def explain(error: BaseException) -> str:
    """What happened and what to do, for a person; empty if only a traceback can tell."""
    chain = list(causes(error))
    for cause in chain:
        for kind, sentence in SENTENCES:
            if isinstance(cause, kind):
                return sentence(cause)
        if type(cause).__module__.startswith("google."):
            return _advised(f"BigQuery: {_brief(cause)}")
    if isinstance(chain[-1], OSError) or (isinstance(error, DltException) and not _is_ours(chain[-1])):
        return _advised(f"{type(chain[-1]).__name__}: {_brief(chain[-1])}")
    return ""


def exit_code(error: BaseException) -> int:
    """75 for an early stop, 130 for an interruption, 2 for wrong usage or configuration, 1 for all else that failed."""
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


def is_lasting(error: BaseException) -> bool:
    """True if the same would fail again however often it is tried: somebody has to mend a setting, a right, a key."""
    if exit_code(error) == EXIT_USAGE or isinstance(error, click.UsageError):
        return True
    return any(
        isinstance(cause, (AccessError, RequestError, StatusError, WindowTooDenseError)) for cause in causes(error)
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, outermost first."""
    seen = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _missing(missing: ConfigFieldMissingException) -> str:
    if missing.fields == ["credentials"] and "sources" in str(missing):
        return NO_ACCESS
    if missing.spec_name == "BigQueryClientConfiguration":
        return (
            "BigQuery: no access was found. Run `gcloud auth application-default login`, or run as a service account, "
            "or set its key as destination.bigquery.credentials in .dlt/secrets.toml; see the README, BigQuery."
        )
    return f"The configuration lacks {', '.join(missing.fields)} ({missing.spec_name}). {_brief(missing)}"


def _advised(sentence: str) -> str:
    """The sentence, with what to do about it where BigQuery's own words do not say."""
    return " ".join([sentence, *(advice for words, advice in BIGQUERY_ADVICE if re.search(words, sentence))][:2])


def _misfit(misfit: ConfigValueCannotBeCoercedException) -> str:
    kind = "a whole number" if "int" in str(misfit.hint) else "a text"
    return f"sources.comagic.{misfit.field_name}: the configured value does not fit; it has to be {kind}."


def _unprepared(failed: NormalizeJobFailed) -> str:
    if "contract" in str(failed).lower():
        return (
            "A value does not fit the type of its column, and a second column beside it would hide that. "
            f"{_brief(failed)} "
            "Leave the field out (sources.comagic.fields or exclude_fields) and report it to this project. "
            "Nothing was loaded."
        )
    return _brief(failed)


def _is_termination(error: BaseException) -> bool:
    return isinstance(error, SignalReceivedException) and error.signal_code == signal.SIGTERM


def _comagic(error: ComagicError) -> str:
    return f"{error} {KEPT}" if error.is_early_stop else str(error)


def _is_ours(error: BaseException) -> bool:
    """True for a fault of this program, which only a traceback explains."""
    return type(error).__module__ == "builtins"


def _brief(error: BaseException) -> str:
    text = str(error).split("The actual reason given is:")[-1]  # dlt's way to wrap what a destination says
    if told := re.search(r'job_id=(\w+)\..*?"message":("(?:[^"\\]|\\.)*")', text):  # a load job of BigQuery, as JSON
        text = f"the rows of {told.group(1)}: {json.loads(told.group(2))}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:3])[:600]


BIGQUERY_ADVICE: Sequence[Tuple[str, str]] = (
    (
        r"bigquery\.jobs\.create",
        "Give the account the role BigQuery Job User (roles/bigquery.jobUser) on the project.",
    ),
    (
        r"bigquery\.datasets\.create",
        "Create the datasets comagic and comagic_staging beforehand, or give the account the role BigQuery User "
        "(roles/bigquery.user) on the project.",
    ),
    (
        r"Access Denied: (Dataset|Table)|bigquery\.(tables|datasets)\.",
        "Give the account the role BigQuery Data Editor (roles/bigquery.dataEditor) on the datasets comagic and "
        "comagic_staging.",
    ),
    (
        r"invalid_grant|invalid authentication|Reauthentication",
        "Google does not accept this access: set another key as destination.bigquery.credentials, or without one run "
        "`gcloud auth application-default login` again.",
    ),
    (
        r"not found in location",
        "Set destination.bigquery.location to where the dataset comagic is; a dataset cannot be moved.",
    ),
    (
        r"[Pp]roject .*(not found|not enabled)|Not found: Project|has not enabled BigQuery|project.*invalid",
        "Check destination.bigquery.project_id, and that the BigQuery API is enabled in that project.",
    ),
    (
        r"Max retries exceeded|Failed to establish|Timeout of .* exceeded",
        "The destination cannot be reached from this machine: check its network and the address.",
    ),
)
"""What to do by what BigQuery says (in the words of Google's documentation of errors), the first that fits."""

SENTENCES: Sequence[Tuple[Type[BaseException], Callable[[Any], str]]] = (
    (ComagicError, _comagic),
    (KeyboardInterrupt, lambda signalled: f"{'Told to end' if _is_termination(signalled) else 'Interrupted'}. {KEPT}"),
    (ConfigFieldMissingException, _missing),
    (ConfigValueCannotBeCoercedException, _misfit),
    (
        UnknownDestinationModule,
        lambda unknown: f"There is no destination {str(unknown.ref)!r}; use duckdb or bigquery.",
    ),
    (MissingDependencyException, lambda missing: f"A package is missing. {_brief(missing)}"),
    (NormalizeJobFailed, _unprepared),
    (DestinationException, lambda refused: _advised(f"The destination refused: {_brief(refused)}")),
    (ConfigurationException, lambda wrong: f"The configuration is wrong: {_brief(wrong)}"),
)
"""Sentences by the kind of error, the first that fits."""
