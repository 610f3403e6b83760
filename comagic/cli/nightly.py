"""After a nightly load: the report, and a digest of yesterday's calls for the receivers of notifications."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

from ..exceptions import ComagicError
from ..load.destinations import AnyDestination, choose_dataset, choose_destination
from ..load.figures import Figures, read_figures
from ..load.runner import Load
from ..redaction import mask, one_line
from ..settings import Settings
from .notifications import Notifier
from .output import err, print_report
from .report import write_report
from .report.language import NO_BREAK, Language

WEEK = timedelta(days=7)


def finish_night(load: Load, notifier: Notifier) -> None:
    """Writes the report and sends the digest, if they are wanted; a problem is a warning, since the load succeeded.

    Not after a load of a given period, nor of other resources than calls.

    Args:
        load: the load that has ended.
        notifier: the notifier.
    """
    if load.since is not None or "calls" not in load.names:
        return
    settings, dataset_name = load.settings, choose_dataset()
    if settings.report:
        with _warning("The report was not written"):
            figures = write_report(choose_destination(load.destination), dataset_name, settings, settings.report)
            print_report(figures, settings.report)
    if notifier.wants_digest:
        with _warning("No digest was sent"):
            text = digest(choose_destination(load.destination), dataset_name, settings)
            for warning in notifier.send("digest", text):
                _warn(warning)


@contextmanager
def _warning(what: str) -> Iterator[None]:
    """Turns an error into a warning: whatever the destination says, the load succeeded."""
    try:
        yield
    except Exception as error:
        reason = str(error) if isinstance(error, ComagicError) else f"{type(error).__name__}: {error}"
        _warn(f"{what}: {one_line(mask(reason))}")


def digest(destination: AnyDestination, dataset_name: str, settings: Settings) -> str:
    """Returns the digest: calls, missed and not recovered ones, of the last whole day and of a week before.

    Args:
        destination: the destination.
        dataset_name: the dataset.
        settings: the language, and thresholds of figures.

    Raises:
        ComagicError: nothing is loaded yet, or the destination's SQL is not known.
    """
    language = Language(settings.language)

    def read(day: date | None) -> Figures:
        return read_figures(destination, dataset_name, settings, day, day, parts=("recovery",))

    last = read_figures(destination, dataset_name, settings, parts=()).days.until
    now, before = read(last), read(last - WEEK)
    text = _sentence(now, language, "", day=language.weekday_and_day(last))
    if before.trust.first_loaded and before.trust.first_loaded.date() > last - WEEK:
        second = language.text("digest_no_before")
    else:
        second = _sentence(before, language, "_before")
    return f"{text} {second}".replace(NO_BREAK, " ")  # in a message it would be shown as \\xa0


def _sentence(figures: Figures, language: Language, suffix: str, **words: Any) -> str:
    totals = figures.totals
    calls = language.counted(totals["calls"] or 0, "calls")
    if totals["missed"] is None:
        return language.text(f"digest_calls{suffix}", calls=calls, **words)
    missed = language.number(totals["missed"])
    if totals["incoming"]:
        missed += f" ({language.percent(totals['missed'] / totals['incoming'])})"
    never = language.number(totals.get("never_recovered", 0 if not totals["missed"] else None))
    return language.text(f"digest{suffix}", calls=calls, missed=missed, never=never, **words)


def _warn(text: str) -> None:
    err.print(f"Warning: {text}", style="yellow", markup=False, highlight=False)
