"""Entries for the logs of Google Cloud and Yandex Cloud: lines of JSON, one for each outcome."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..load.destinations import choose_dataset
from ..redaction import mask
from .errors import EXIT_EARLY, exit_code, explain, is_permanent

JOB = "CLOUD_RUN_JOB"
"""Environment variable that Cloud Run sets in a job."""
LOADED, STOPPED_EARLY, REJECTED, FAILED = "loaded", "stopped early", "rejected", "failed"
LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}
"""Yandex's levels, where they are not called like Python's and Google's severities."""
SEVERITIES = {LOADED: "INFO", STOPPED_EARLY: "WARNING", REJECTED: "ERROR", FAILED: "ERROR"}


def entry(severity: str, message: str, **more: Any) -> str:
    """A log entry, a line of JSON: Google's Cloud Logging reads `severity`, Yandex's `level`, both read `message`."""
    level = LEVELS.get(severity, severity)
    return json.dumps({"severity": severity, "level": level, "message": message, **more}, ensure_ascii=False)


def log(severity: str, message: str, **more: Any) -> None:
    """Writes a log entry."""
    sys.stdout.write(entry(severity, message, **more) + "\n")
    sys.stdout.flush()


def log_outcome(outcome: str, message: str) -> None:
    """Writes the entry about a load's outcome, with the dataset: one project may hold several."""
    text = f"{outcome.capitalize()}. {message}".strip()
    log(SEVERITIES[outcome], text, outcome=outcome, dataset=choose_dataset())


def outcome_of(error: BaseException) -> tuple[str, str]:
    """The outcome and message of a load that an error ended."""
    message = error.format_message() if isinstance(error, click.ClickException) else explain(error)
    message = message or mask(f"{type(error).__name__}: {error}")
    if exit_code(error) == EXIT_EARLY:
        return STOPPED_EARLY, message
    return REJECTED if is_permanent(error) else FAILED, message


@contextmanager
def outcome_in_job() -> Iterator[None]:
    """In a Cloud Run job, logs how the `with` block ended; elsewhere it does nothing."""
    try:
        yield
    except BaseException as error:
        if JOB in os.environ:
            log_outcome(*outcome_of(error))
        raise
    if JOB in os.environ:
        log_outcome(LOADED, "")
