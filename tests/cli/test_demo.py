"""The demo loads months of calls without an account, prints what the README shows, and resumes when it is run again."""

import re
from pathlib import Path

import duckdb

from tests.support.pages import README, code_blocks
from tests.support.processes import Command


def test_demo_loads_months_of_calls_and_prints_what_the_readme_shows(
    run: Command, command: Command, place: Path
) -> None:
    result = run("--demo")
    assert result.code == 0, result.err
    with duckdb.connect(str(place / "comagic_demo.duckdb"), read_only=True) as connection:
        ((calls, campaigns),) = connection.execute(
            "SELECT count(*), count(DISTINCT campaign_name) FROM comagic.calls"
        ).fetchall()
    assert calls > 10_000
    assert f"{calls:,}" in result.out
    for text in ("calls__tags", "API calls", "missed, %", "Яндекс.Директ", "secrets.toml"):
        assert text in result.out
    assert result.out.count("\n") > campaigns
    assert "windows" in result.err, "no progress"
    check_readme(result.out, place)

    result = command("load", "--demo")
    assert result.code == 0, result.err
    assert f"{calls:,}" not in result.out.split("Calls by campaign")[0], "the second run read everything again"


def check_readme(printed: str, folder: Path) -> None:
    """Figures depend on the day, and the DuckDB file's folder on where the demo is run; the rest does not."""
    printed = printed.replace(f"{folder}/", "")
    for line in code_blocks(README, "text")[0].splitlines():
        assert re.split(r"\d", line)[0].strip() in printed, line
