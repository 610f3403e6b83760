"""Names from the data as the report shows them: no telephone number and no person, unless it was asked to."""

import re
from typing import Any

from .language import Language

GAP = r"[\s().\u00a0-]*"
PHONE = re.compile(rf"\+\d(?:{GAP}\d){{9,14}}|(?<![\d.])[78]{GAP}[3489]\d\d{GAP}\d{{3}}{GAP}\d\d{GAP}\d\d(?![\d.])")
"""Telephone numbers in a text: with a plus, or of Russia. Other long numbers are more often ids of campaigns."""
LONGEST = 120


class Names:
    """Shows names from the data.

    Args:
        language: the language of what replaces them.
        are_shown: whether telephone numbers and persons' names are shown.
    """

    def __init__(self, language: Language, are_shown: bool) -> None:
        self.are_shown = are_shown
        self._language = language

    def shown(self, name: Any) -> str:
        """Returns the name of a campaign, source or tag in one line; empty if there is none."""
        text = " ".join(str(name or "").split())
        if not self.are_shown:
            text = PHONE.sub(self._language.text("hidden_number"), text)
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}\u2026"

    def person(self, name: Any, number: Any) -> str:
        """Returns the name of an employee, or the id instead."""
        shown = self.shown(name) if self.are_shown else ""
        return shown or self._language.text("employee", id=number)
