"""Default values of fields, derived from their types in the catalog.

Resources without a maker of their own in `reports` or `dictionaries` are made of these values, so a new catalog file is
all that the sandbox needs. Values follow from their seed alone: they are the same in every run and process.
"""

import re
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

from ..catalog import DAY, LIST, OBJECT, TIME, Field

SCALARS: Mapping[str, Callable[[Field, int], Any]] = {
    "bigint": lambda _, number: number % 1_000,
    "double": lambda _, number: number % 100_000 / 100,
    "bool": lambda _, number: number % 2 == 1,
    "text": lambda field, number: (
        _phone_number(number) if field.name.endswith("phone_number") else f"{field.name} {number % 1_000}"
    ),
    "json": lambda _, number: {"value": number % 1_000},
}
"""How a value is made from a random-looking number, by type."""

PATTERNS = {TIME: re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), DAY: re.compile(r"\d{4}-\d\d-\d\d")}
PYTHON_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "bigint": int,
    "double": (int, float),
    "bool": bool,
    "text": str,
    "json": (dict, list),
}


def stable_number(*parts: object) -> int:
    """A random-looking number of 64 bits that follows from the parts alone; `hash()` differs between processes."""
    text = " ".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _phone_number(number: int) -> str:
    """A phone number as people may write it: with a plus, with leading zeros, or in digits."""
    return f"{('+', '00', '')[number % 3]}7495{number % 10_000_000:07}"


def default_value(field: Field, seed: str, time: str) -> Any:
    """A value of the field's type; null for a type that the API does not have.

    Args:
        field: the field.
        seed: identifies the row, or the list element, that the value is for.
        time: value of timestamps, as `YYYY-MM-DD HH:MM:SS`; dates are its day.
    """
    number = stable_number(seed, field.name)
    if field.type == LIST:
        return [_element(field, f"{seed} {field.name} {index}", time) for index in range(1 + number % 2)]
    if field.type == OBJECT:
        return _object(field.children, f"{seed} {field.name}", time)
    if field.values:
        return field.values[number % len(field.values)]
    if field.type == TIME:
        return time
    if field.type == DAY:
        return time[:10]
    make = SCALARS.get(field.type)
    return make(field, number) if make else None


def fits(field: Field, value: Any) -> bool:
    """True if the value is of the field's type and one of its codes, or null."""
    if value is None:
        return True
    if field.type == LIST:
        return isinstance(value, list) and all(_fits_element(field, element) for element in value)
    if field.type == OBJECT:
        return _fits_object(field.children, value)
    if field.values and value not in field.values:
        return False
    if field.type in PATTERNS:
        return isinstance(value, str) and PATTERNS[field.type].fullmatch(value) is not None
    if isinstance(value, bool):  # a bool is an int for Python
        return field.type == "bool"
    return isinstance(value, PYTHON_TYPES.get(field.type, ()))


def _element(field: Field, seed: str, time: str) -> Any:
    return _object(field.children, seed, time) if field.items is None else default_value(field.items, seed, time)


def _object(children: Mapping[str, Field], seed: str, time: str) -> dict[str, Any]:
    return {name: default_value(child, seed, time) for name, child in children.items()}


def _fits_element(field: Field, element: Any) -> bool:
    return _fits_object(field.children, element) if field.items is None else fits(field.items, element)


def _fits_object(children: Mapping[str, Field], value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == children.keys()
        and all(fits(child, value[name]) for name, child in children.items())
    )
