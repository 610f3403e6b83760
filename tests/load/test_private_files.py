"""What a load leaves on the disk is readable by its user alone, and holds no copy of the rows."""

import stat
from pathlib import Path

import pytest

from tests.support.accounts import access_to, recent_account
from tests.support.processes import Serve, Start

OTHERS = stat.S_IRWXG | stat.S_IRWXO


@pytest.mark.expensive(10)
def test_files_are_private_and_no_copy_of_the_rows_is_left(serve: Serve, start: Start, place: Path) -> None:
    environment = access_to(serve(recent_account(5)))
    assert start(**environment).wait() == 0
    paths = [path for path in place.rglob("*") if not path.is_symlink()]
    assert (place / "comagic_pipeline.duckdb") in paths
    assert [path for path in paths if path.stat().st_mode & OTHERS] == []
    assert [path for path in paths if path.suffix in (".parquet", ".jsonl", ".gz")] == []
    folder = place / "dlt" / "pipelines" / "comagic"
    (place / "comagic_pipeline.duckdb").chmod(0o640)
    folder.chmod(0o755)
    assert start(**environment).wait() == 0
    assert stat.S_IMODE((place / "comagic_pipeline.duckdb").stat().st_mode) == 0o640, "an existing file keeps its mode"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
