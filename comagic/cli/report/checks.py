"""The block "Can I trust this page?": what the loads noted, each with a verdict."""

from collections.abc import Iterator
from dataclasses import dataclass

from ...load.figures import Figures
from .language import Language


@dataclass(frozen=True)
class Check:
    """One line of the block.

    Attributes:
        label: what was looked at.
        text: what was found.
        is_good: the verdict; None where there is none.
    """

    label: str
    text: str
    is_good: bool | None


def checks(figures: Figures, language: Language) -> Iterator[Check]:
    """Yields the lines of the block."""
    trust, text = figures.trust, language.text
    reached = language.moment(trust.loaded_up_to) if trust.loaded_up_to else text("never_loaded")
    covered = trust.is_covered(figures.days)
    coverage = text("covers")
    if not covered and trust.first_loaded and trust.loaded_up_to:
        coverage = text("covers_not", start=language.day(trust.first_loaded.date()), end=reached)
    yield Check(text("t_loaded"), f"{reached}; {coverage}" if trust.loaded_up_to else reached, covered)
    problems = [
        language.counted(number, name)
        for number, name in ((trust.missing, "rows_missing"), (trust.rejected, "rows_rejected"), (trust.gaps, "gaps"))
        if number
    ]
    yield Check(text("t_complete"), "; ".join(problems) or text("all_rows"), not problems)
    if trust.last_run and trust.outcome:
        is_complete = trust.outcome == "complete"
        yield Check(text("t_run"), f"{language.moment(trust.last_run)}, {text(f'o_{trust.outcome}')}", is_complete)
    yield _verification(figures, language)
    if figures.totals["calls"]:
        yield _sources(figures, language)
        yield _numbers(figures, language)


def _verification(figures: Figures, language: Language) -> Check:
    last, text = figures.trust.verification, language.text
    if last is None:
        return Check(text("t_verify"), text("verify_never"), None)
    result = text("verify_agrees" if last.agrees else "verify_differs", number=language.number(last.days_differing))
    if not last.is_complete:
        result = text("verify_stopped")
    found = text(
        "verified",
        moment=language.moment(last.verified_at),
        since=language.day(last.since) if last.since else "",
        until=language.day(last.until) if last.until else "",
        result=result,
    )
    return Check(text("t_verify"), found, last.agrees and last.is_complete)


def _sources(figures: Figures, language: Language) -> Check:
    share = figures.trust.without_source
    if share is None:
        return Check(language.text("t_source"), language.text("source_unknown"), None)
    is_good = figures.trust.has_reliable_sources
    shown = language.text("source_good" if is_good else "source_bad", share=language.percent(share))
    return Check(language.text("t_source"), shown, is_good)


def _numbers(figures: Figures, language: Language) -> Check:
    trust = figures.trust
    notes = [
        language.text(name, number=language.number(number))
        for number, name in ((trust.silent_numbers, "silent_numbers"), (trust.unusual_days, "unusual_days"))
        if number
    ]
    return Check(language.text("t_numbers"), "; ".join(notes) or language.text("numbers_good"), None if notes else True)
