"""The process of a command: what holds for all of it, signals, messages and exit codes."""

import gc
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

import click
from dlt.common.exceptions import SignalReceivedException

from ..load.no_pandas import refuse_pandas
from ..redaction import mask, mask_logs
from ..settings import ignore_bare_variables
from .defaults import apply_defaults
from .errors import EXIT_EARLY, EXIT_FAILED, exit_code, explain
from .output import err
from .program import as_started

SECONDS_BETWEEN_TERMINATIONS = 1.0


def prepare_process() -> None:
    """Sets what holds for the whole process, before any setting is read."""
    ignore_bare_variables()
    apply_defaults()
    os.umask(0o077)  # new files hold personal data; existing ones keep their mode
    mask_logs()
    if not gc.get_freeze_count():  # once: what a function's earlier run has left may be garbage
        # Rows are not garbage: with Python's own threshold, looking for it takes an eighth of a load's CPU time.
        gc.freeze()
        gc.set_threshold(100_000)


def run_program(program: Callable[[], None]) -> None:
    """Runs a program; a user's mistake ends with a message, not with a traceback."""
    prepare_process()
    refuse_pandas()
    for stream in (sys.stdout, sys.stderr):  # a terminal that cannot show Cyrillic is no reason to fail
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    signal.signal(signal.SIGTERM, _terminate)
    if hasattr(signal, "SIGALRM"):  # not on Windows
        signal.signal(signal.SIGALRM, _terminate)
    try:
        try:
            program()
        finally:
            _repeat_termination(0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort as abort:  # click's word for a signal, SIGTERM too
        _exit_with(abort.__cause__ or KeyboardInterrupt())
    except (Exception, KeyboardInterrupt) as error:
        _exit_with(error)


def _terminate(*_: Any) -> None:
    """Ends the run at SIGTERM: what is committed is kept, the rest is read again by the next run.

    Python drops an exception that is raised in a `__del__`, and libraries swallow some in their imports: so it is
    raised again until it gets through.
    """
    _repeat_termination(SECONDS_BETWEEN_TERMINATIONS)
    raise SignalReceivedException(signal.SIGTERM)


def _repeat_termination(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _exit_with(error: BaseException) -> None:
    """Ends the program with a message and the exit code, or lets a bug end it with a traceback."""
    message = explain(error)
    if not message:
        err.print(mask("".join(traceback.format_exception(error))), markup=False, highlight=False)
        sys.exit(EXIT_FAILED)
    code = exit_code(error)
    title, style = ("Stopped early:", "yellow") if code == EXIT_EARLY else ("Error:", "red")
    err.print(title, style=style, end=" ")
    err.print(as_started(message), markup=False, highlight=False)
    sys.exit(code)
