"""Long lists of cases: all of them in `.ci/proofs`, a seeded sample of them in every other run."""

import os
from collections.abc import Iterable, Mapping
from random import Random
from typing import TypeVar

Case = TypeVar("Case")

ALL_CASES = "ALL_CASES" in os.environ
"""Whether every case is tested; `.ci/proofs` sets the variable."""

SEED = os.environ.get("TEST_SEED", "1")
"""Which sample is tested; `.ci/run` sets a new one each day and prints it."""


def sample(cases: Iterable[Case], size: int) -> list[Case]:
    """Returns a sample of the cases in their order, the same one for the same seed; all of them in `.ci/proofs`."""
    listed = list(cases)
    if ALL_CASES or size >= len(listed):
        return listed
    chosen = set(Random(SEED).sample(range(len(listed)), size))
    return [case for number, case in enumerate(listed) if number in chosen]


def sample_within(costs: Mapping[Case, float], most: float) -> list[Case]:
    """Returns a sample of the cases that costs so much together at most; all of them in `.ci/proofs`."""
    if ALL_CASES:
        return list(costs)
    chosen, left = [], most
    for case in Random(SEED).sample(list(costs), len(costs)):
        if costs[case] <= left:
            chosen.append(case)
            left -= costs[case]
    return chosen


def examples(number: int) -> int:
    """How many examples a property is tested with: all in `.ci/proofs`, a third of them in every other run."""
    return number if ALL_CASES else number // 3
