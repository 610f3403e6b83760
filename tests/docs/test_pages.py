"""What the README, the pages and the configuration say is what the code does."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import click
import pendulum
import pytest
import tomlkit

from comagic.api.brands import BRANDS
from comagic.cli.commands import cli
from comagic.exceptions import BY_MNEMONIC
from comagic.sandbox import SandboxServer, SyntheticAccount
from comagic.sandbox.switches import KEY
from comagic.settings import (
    KNOWN,
    KNOWN_CREDENTIALS,
    ConnectionSettings,
    NotificationSettings,
    Settings,
    declared_settings,
)
from docs.generate import PAGES, fill
from tests.support.pages import README, code_blocks, markdown_pages, read_page
from tests.support.processes import ROOT, Command

CONFIG = read_page(".dlt/config.toml")
EXAMPLE = read_page(".dlt/example.secrets.toml")
SECRET = {"credentials", "pseudonym_key"}
MAX_README_WORDS = 1200
PYTHON = ".venv/bin/python"


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
def test_every_setting_has_a_meaning_on_the_reference_page(spec: type[Settings | NotificationSettings]) -> None:
    page = read_page("docs/settings.md")
    for name, setting in declared_settings(spec).items():
        assert f"| `{name}` | " in page
        assert setting.metadata["meaning"] in page
    assert {setting.name for setting in fields(spec)} >= declared_settings(spec).keys()


def test_every_setting_and_no_other_is_in_the_configuration_files() -> None:
    section = CONFIG.split("[sources.comagic]")[1].split("\n[")[0]
    assert set(re.findall(r"^# (\w+) = ", section, re.MULTILINE)) == KNOWN - SECRET
    in_example = KNOWN_CREDENTIALS | SECRET - {"credentials"} | {"webhook_url", "slack_incoming_hook"}
    assert set(re.findall(r"^# ([a-z_]+) = ", EXAMPLE, re.MULTILINE)) == in_example


def test_defaults_in_the_configuration_file_are_the_real_ones() -> None:
    section = CONFIG.split("[sources.comagic]")[1].split("\n[")[0]
    shown = tomlkit.parse("\n".join(line[2:] for line in section.splitlines() if re.match(r"# \w+ = ", line)))
    for name in ("start_date", "lookback_days", "window_days", "load_package_rows", "skip_unchanged_rows"):
        assert shown[name] == getattr(Settings, name), name
    assert shown["base_url"] == ConnectionSettings.base_url


def test_every_brand_is_in_the_pages_and_in_the_configuration_file() -> None:
    for brand, url in BRANDS.items():
        assert brand in README
        for page in ("docs/account.md", "docs/settings.md", ".dlt/config.toml"):
            assert url in read_page(page)


@pytest.mark.parametrize("page", ["docs/troubleshooting.md", "docs/ru/troubleshooting.md"])
def test_troubleshooting_names_only_errors_and_settings_that_exist(page: str) -> None:
    for name in re.findall(r"^\| `(\w+_\w+)`|, `(\w+_\w+)`(?= \|)", read_page(page), re.MULTILINE):
        assert "".join(name) in {*BY_MNEMONIC, *KNOWN}, name


@pytest.mark.parametrize("page", ["README.md", "README.ru.md"])
def test_a_readme_is_short_and_starts_with_the_two_commands(page: str) -> None:
    text = read_page(page)
    assert len(text.split()) <= MAX_README_WORDS
    assert code_blocks(text, "sh")[:2] == code_blocks(README, "sh")[:2]
    assert all(len(block.splitlines()) == 1 for block in code_blocks(text, "sh")[:2])
    assert text.index("```sh") < text.index("```text") < text.index("```sql")
    assert code_blocks(text, "sql") == code_blocks(README, "sql")


def test_the_readme_shows_what_the_demo_prints(command: Command) -> None:
    """Figures depend on the day; everything before the first figure of a line does not."""
    printed = command("--demo").out
    for line in code_blocks(README, "text")[0].splitlines():
        assert re.split(r"\d", line)[0].strip() in printed, line


@pytest.mark.parametrize("page", markdown_pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
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
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_example_in_python_and_the_queries_of_the_readme_run(
    serve: Callable[..., SandboxServer], place: Path
) -> None:
    sandbox = serve(SyntheticAccount(first_day=pendulum.today("UTC").subtract(days=3).date()))
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SOURCES__COMAGIC__BASE_URL": sandbox.base_url,
        "SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN": KEY,
    }

    def run(*command: str) -> None:
        subprocess.run(command, env=environment, check=True, capture_output=True)

    (example,) = code_blocks(README, "python")
    run(sys.executable, "-c", example)
    assert (place / "comagic.duckdb").exists()
    run(sys.executable, str(ROOT / "comagic_pipeline.py"))
    queries = code_blocks(README, "sql")
    assert len(queries) == 3
    for query in queries:
        script = "import duckdb, sys; print(len(duckdb.connect('comagic_pipeline.duckdb').sql(sys.argv[1]).fetchall()))"
        run(sys.executable, "-c", script, query)


def test_telemetry_is_off_in_the_committed_configuration() -> None:
    assert tomlkit.parse(CONFIG)["runtime"]["dlthub_telemetry"] is False


def test_secrets_are_ignored_by_git_and_the_example_has_none() -> None:
    assert ".dlt/secrets.toml" in read_page(".gitignore").splitlines()
    example = tomlkit.parse(EXAMPLE)
    assert example == {"sources": {"comagic": {"credentials": {}}}, "notifications": {}, "runtime": {}}
