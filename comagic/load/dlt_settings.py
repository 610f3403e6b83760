"""dlt's settings that a load needs: they are what they were again when it ends, since dlt has one set for a process."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dlt


@contextmanager
def configured(settings: Mapping[str, Any]) -> Iterator[None]:
    """Sets some of dlt's settings in the `with` block.

    Args:
        settings: values by name, for example `load.workers`.
    """
    before: dict[str, Any] = {name: dlt.config.get(name) for name in settings}
    try:
        for name, value in settings.items():
            dlt.config[name] = value
        yield
    finally:
        for name, value in before.items():
            dlt.config[name] = value
