"""The README, the pages and the configuration files match the code, and their examples run."""

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import duckdb
import pendulum
import pytest
import tomlkit

from comagic.api.brands import BRANDS
from comagic.cli.commands import cli
from comagic.exceptions import BY_MNEMONIC
from comagic.sandbox import SyntheticAccount
from comagic.settings import (
    KNOWN,
    KNOWN_CREDENTIALS,
    ConnectionSettings,
    NotificationSettings,
    Settings,
    declared_settings,
)
from docs.chart import draw
from docs.generate import PAGES, fill
from tests.support.accounts import access_to, recent_account
from tests.support.pages import README, code_blocks, markdown_pages, read_page
from tests.support.processes import ROOT, Command, Serve

CONFIG = read_page(".dlt/config.toml")
EXAMPLE = read_page(".dlt/example.secrets.toml")
SECRET = {"credentials", "pseudonym_key"}
MAX_README_WORDS = 1200
PYTHON = ".venv/bin/python"


def test_chart_shows_the_figures_of_its_page() -> None:
    assert read_page("docs/pace.svg") == draw(read_page("docs/performance.md"))


@pytest.mark.parametrize("page", PAGES)
def test_generated_parts_of_a_page_are_up_to_date(page: str) -> None:
    """`python -m docs.generate` updates them."""
    text = read_page(f"docs/{page}")
    assert "<!-- begin: " in text
    assert fill(text) == text


def test_every_option_has_a_help_text() -> None:
    for command in cli.commands.values():
        for parameter in command.params:
            assert isinstance(parameter, click.Option)
            assert parameter.help, parameter.name


@pytest.mark.parametrize("spec", [Settings, NotificationSettings])
def test_reference_page_explains_every_setting(spec: type[Settings | NotificationSettings]) -> None:
    page = read_page("docs/settings.md")
    for name, setting in declared_settings(spec).items():
        assert f"| `{name}` | " in page
        assert setting.metadata["meaning"] in page
    assert {setting.name for setting in fields(spec)} >= declared_settings(spec).keys()


def test_configuration_files_have_every_setting_and_no_other() -> None:
    section = CONFIG.split("[sources.comagic]")[1].split("\n[")[0]
    assert set(re.findall(r"^# (\w+) = ", section, re.MULTILINE)) == KNOWN - SECRET
    in_example = KNOWN_CREDENTIALS | SECRET - {"credentials"} | {"webhook_url", "webhook_body", "slack_incoming_hook"}
    assert set(re.findall(r"^# ([a-z_]+) = ", EXAMPLE, re.MULTILINE)) == in_example


def test_configuration_file_shows_the_real_defaults() -> None:
    section = CONFIG.split("[sources.comagic]")[1].split("\n[")[0]
    defaults = tomlkit.parse("\n".join(line[2:] for line in section.splitlines() if re.match(r"# \w+ = ", line)))
    for name in (
        "start_date",
        "lookback_days",
        "window_days",
        "skip_unchanged_rows",
        "max_new_columns",
    ):
        assert defaults[name] == getattr(Settings, name), name
    assert defaults["base_url"] == ConnectionSettings.base_url


def test_pages_and_configuration_file_have_every_brand() -> None:
    for brand, url in BRANDS.items():
        assert brand in README
        for page in ("docs/account.md", "docs/settings.md", ".dlt/config.toml"):
            assert url in read_page(page)


@pytest.mark.parametrize("page", ["docs/troubleshooting.md", "docs/ru/troubleshooting.md"])
def test_troubleshooting_page_names_only_existing_errors_and_settings(page: str) -> None:
    for name in re.findall(r"^\| `(\w+_\w+)`|, `(\w+_\w+)`(?= \|)", read_page(page), re.MULTILINE):
        assert "".join(name) in {*BY_MNEMONIC, *KNOWN}, name


@pytest.mark.parametrize("page", ["README.md", "README.ru.md"])
def test_readme_is_short_and_starts_with_two_commands(page: str) -> None:
    text = read_page(page)
    assert len(text.split()) <= MAX_README_WORDS
    assert code_blocks(text, "sh")[:2] == code_blocks(README, "sh")[:2]
    assert all(len(block.splitlines()) == 1 for block in code_blocks(text, "sh")[:2])
    assert text.index("```sh") < text.index("```text") < text.index("```sql")
    assert code_blocks(text, "sql") == code_blocks(README, "sql")


@pytest.mark.parametrize("page", markdown_pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_resolve(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http", "../../actions")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{page.name}: {target}"


def anchors(file: Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_readme_example_in_python_runs(serve: Serve, place: Path) -> None:
    first_day = pendulum.today("UTC").subtract(days=3).date()
    sandbox = serve(SyntheticAccount(first_day=first_day, calls_per_day=20))
    (example,) = code_blocks(README, "python")
    environment = {**os.environ, **access_to(sandbox), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", example], env=environment, check=True, capture_output=True)
    with duckdb.connect(str(place / "comagic.duckdb"), read_only=True) as connection:
        ((start,),) = connection.execute("SELECT min(partition_date) FROM calls_of_comagic.calls").fetchall()
    assert start == first_day


def test_readme_queries_run(serve: Serve, command: Command, place: Path) -> None:
    assert command(**access_to(serve(recent_account(1)))).code == 0
    queries = code_blocks(README, "sql")
    assert len(queries) == 3
    with duckdb.connect(str(place / "comagic_pipeline.duckdb"), read_only=True) as connection:
        calls_by_day, calls_by_tag, missing = [connection.execute(query).fetchall() for query in queries]
    assert calls_by_day
    assert calls_by_tag
    assert missing == []


def test_committed_configuration_has_telemetry_off() -> None:
    assert tomlkit.parse(CONFIG)["runtime"]["dlthub_telemetry"] is False


def test_git_ignores_secrets_and_the_example_has_none() -> None:
    assert ".dlt/secrets.toml" in read_page(".gitignore").splitlines()
    example = tomlkit.parse(EXAMPLE)
    assert example == {"sources": {"comagic": {"credentials": {}}}, "notifications": {}, "runtime": {}}


def test_each_threat_is_held_by_a_test_that_exists() -> None:
    page = read_page("docs/security.md")
    rows = [line for line in page.splitlines() if line.startswith("| ") and "`test_" in line]
    assert len(rows) > 10
    named = set(re.findall(r"`(test_\w+)`", page))
    sources = "".join(file.read_text("utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in named if f"def {name}(" not in sources] == []
