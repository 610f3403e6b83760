"""All sections of the report, in their order."""

from collections.abc import Callable, Iterator, Mapping

from ...load.figures import Figures
from .calls import CallSections
from .language import Language
from .lists import ListSections
from .names import Names
from .section import Section


def make_sections(figures: Figures, language: Language, names: Names) -> Iterator[Section]:
    """Yields the sections that the figures allow.

    Args:
        figures: the figures.
        language: the language of the texts.
        names: shows names from the data.
    """
    calls, lists = CallSections(figures, language, names), ListSections(figures, language, names)
    makers: Mapping[str, Callable[[], Section]] = {
        "days": calls.days,
        "hours": calls.hours,
        "recovery": calls.recovery,
        "campaigns": lists.campaigns,
        "costs": lists.costs,
        "sources": lists.sources,
        "employees": lists.employees,
        "tags": lists.tags,
        "durations": calls.durations,
        "funnel": lists.funnel,
    }
    for name, maker in makers.items():
        if name not in figures.left_out:
            yield maker()
