"""The second process that shapes pages, ready from the first page on: in a test's small load it would come too late."""

import pytest

from comagic.api.responses import Decoded
from comagic.extract import shaping
from comagic.extract.shaping import ShapingProcess


def use_from_the_first_page(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Lets loads wait until the second process is ready; returns whether it took each page that it was given."""
    taken: list[bool] = []
    announce, shape = ShapingProcess.announce, ShapingProcess.__call__

    def announce_and_wait(process: ShapingProcess, rows: int) -> None:
        announce(process, rows)
        if process._starter:
            process._starter.join()

    def shape_and_note(process: ShapingProcess, body: bytes) -> Decoded | None:
        decoded = shape(process, body)
        taken.append(decoded is not None)
        return decoded

    monkeypatch.setattr(shaping, "MIN_ROWS", 0)
    monkeypatch.setattr(ShapingProcess, "announce", announce_and_wait)
    monkeypatch.setattr(ShapingProcess, "__call__", shape_and_note)
    return taken
