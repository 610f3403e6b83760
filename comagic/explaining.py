"""Turns whatever stopped a command into a sentence and an exit code."""

from typing import Iterator

from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigurationException,
    ConfigValueCannotBeCoercedException,
)
from dlt.common.destination.exceptions import DestinationException, InvalidDestinationReference, UnknownDestinationModule
from dlt.common.exceptions import DltException, MissingDependencyException
from dlt.normalize.exceptions import NormalizeJobFailed

from comagic.exceptions import ComagicError, ConfigurationError

EXIT_FAILED = 1
EXIT_USAGE = 2

NO_ACCESS = (
    "No access is configured. Set sources.comagic.credentials.access_token, or sources.comagic.credentials.login and "
    ".password, in .dlt/secrets.toml (see .dlt/example.secrets.toml) or in the environment "
    "(SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN). To try without an account: python comagic_pipeline.py --demo"
)


def explain(error: BaseException) -> str:
    """What happened and what to do, for a person; empty if only a traceback can tell."""
    for cause in causes(error):
        if isinstance(cause, ComagicError):
            return str(cause)
        if isinstance(cause, ConfigFieldMissingException):
            missing = set(cause.fields)
            if missing & {"credentials", "access_token", "login", "password"} and _is_of_source(cause):
                return NO_ACCESS
            return f"Configuration of {cause.spec_name} lacks {', '.join(sorted(missing))}. {_brief(cause)}"
        if isinstance(cause, ConfigValueCannotBeCoercedException):
            return f"sources.comagic.{cause.field_name}: the configured value does not fit; it has to be {_kind(cause.hint)}."
        if isinstance(cause, UnknownDestinationModule):
            return f"There is no destination {str(cause.ref)!r}; use duckdb, bigquery or another destination of dlt."
        if isinstance(cause, MissingDependencyException):
            return f"A package is missing: {_brief(cause)}"
        if isinstance(cause, NormalizeJobFailed):
            return _explain_normalize(cause)
    for cause in causes(error):
        if isinstance(cause, (DestinationException, ConfigurationException)):
            return f"The destination refused: {_brief(cause)}"
    last = list(causes(error))[-1]
    if isinstance(last, OSError):
        return f"{type(last).__name__}: {last}"
    if isinstance(error, DltException) and type(last).__module__.split(".")[0] not in ("builtins", "comagic"):
        return f"{type(last).__name__}: {_brief(last)}"
    return ""


def exit_code(error: BaseException) -> int:
    """2 for wrong usage or configuration, 1 for everything else that failed."""
    wrong = (
        ConfigurationError,
        ConfigFieldMissingException,
        ConfigValueCannotBeCoercedException,
        UnknownDestinationModule,
        InvalidDestinationReference,
        MissingDependencyException,
    )
    return EXIT_USAGE if any(isinstance(cause, wrong) for cause in causes(error)) else EXIT_FAILED


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, outermost first."""
    seen = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _is_of_source(missing: ConfigFieldMissingException) -> bool:
    return missing.spec_name not in ("PipelineConfiguration",) and "sources" in str(missing)


def _explain_normalize(failed: NormalizeJobFailed) -> str:
    text = _brief(failed)
    if "contract" in str(failed).lower() or "data_type" in str(failed):
        return (
            f"A value does not fit the type of its column, and a second column beside it would hide that: {text} "
            "Leave the field out (sources.comagic.fields) and report it to this project. Nothing was loaded."
        )
    return text


def _kind(hint: object) -> str:
    return {int: "a whole number", str: "a text"}.get(hint, "of another kind") if isinstance(hint, type) else "of another kind"


def _brief(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:600]
