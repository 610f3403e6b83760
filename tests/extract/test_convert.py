"""A text of any length is a number or not at once, and a number's text is a number in each of its spellings."""

from collections.abc import Callable
from typing import Any

import pytest

from comagic.extract.convert import Unconvertible, to_double, to_integer


@pytest.mark.parametrize("convert", [to_double, to_integer])
@pytest.mark.parametrize("text", ["1" * 200_000 + "x", "1." * 100_000, " " * 200_000 + "x", "1" * 200_000])
def test_long_text_is_no_number(convert: Callable[[Any], Any], text: str) -> None:
    with pytest.raises(Unconvertible):
        convert(text)


@pytest.mark.parametrize(
    ("text", "number"), [(" 1.5 ", 1.5), ("+12.", 12.0), ("-.5e3", -500.0), ("1E-2", 0.01), ("0" * 90 + "7", 7.0)]
)
def test_spellings_of_a_number(text: str, number: float) -> None:
    assert to_double(text) == number
