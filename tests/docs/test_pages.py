"""What the README and the configuration say is what the code does."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pendulum
import pytest
import tomlkit
from click.testing import CliRunner

from comagic import settings
from comagic.catalog import reports
from comagic.exceptions import BY_MNEMONIC
from comagic.sandbox import SandboxServer, SyntheticAccount
from comagic.sandbox.switches import KEY
from comagic_pipeline import cli
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text("utf-8")
CONFIG = (ROOT / ".dlt" / "config.toml").read_text("utf-8")
EXAMPLE = (ROOT / ".dlt" / "example.secrets.toml").read_text("utf-8")
SECRET = {"credentials", "pseudonym_key"}


def block_after(text: str, words: str, language: str = "sql") -> str:
    """The first fenced block of a language after some words of a page."""
    return text.split(words, 1)[1].split(f"```{language}\n", 1)[1].split("```")[0]


def help_of(*words: str) -> str:
    return (
        CliRunner().invoke(cli, [*words, "--help"], prog_name="comagic_pipeline.py", terminal_width=100).output.strip()
    )


@pytest.mark.parametrize("words", [(), ("load",), ("check",), ("status",), ("view",), ("describe",)])
def test_the_readme_shows_the_help_as_it_is(words: tuple[str, ...]) -> None:
    assert f"```\n{help_of(*words)}\n```" in README


def test_every_option_has_a_help_text() -> None:
    for command in cli.commands.values():
        for parameter in command.params:
            assert isinstance(parameter, click.Option)
            assert parameter.help, parameter.name


def test_every_setting_is_in_the_readme_and_in_the_configuration_and_no_other() -> None:
    table = README.split("## Settings")[1].split("\n## ")[0]
    shown = set(re.findall(r"`([a-z_.]+)`", "".join(line.split("|")[1] for line in table.splitlines() if "|" in line)))
    expected = settings.KNOWN - {"credentials"} | {f"credentials.{name}" for name in settings.KNOWN_CREDENTIALS}
    expected |= {f"notifications.{name}" for name in settings.KNOWN_NOTIFICATIONS}
    assert shown == expected
    section = CONFIG.split("[sources.comagic]")[1].split("\n[")[0]
    assert set(re.findall(r"^# (\w+) = ", section, re.MULTILINE)) == settings.KNOWN - SECRET
    assert set(re.findall(r"^# ([a-z_]+) = ", EXAMPLE, re.MULTILINE)) == settings.KNOWN_CREDENTIALS | SECRET - {
        "credentials"
    } | {"webhook_url", "slack_incoming_hook"}


def test_the_defaults_shown_are_the_real_ones() -> None:
    section = CONFIG.split("[sources.comagic]")[1].split("\n[")[0]
    shown = tomlkit.parse("\n".join(line[2:] for line in section.splitlines() if re.match(r"# \w+ = ", line)))
    real = {
        "base_url": settings.BASE_URL,
        "start_date": settings.START_DATE,
        "lookback_days": settings.LOOKBACK_DAYS,
        "window_days": settings.WINDOW_DAYS,
        "load_package_rows": settings.LOAD_PACKAGE_ROWS,
    }
    assert {name: shown[name] for name in real} == real
    for value in real.values():
        assert f"`{value}`" in README
    assert f"{len(reports()['calls'].selected)} fields" in README


def test_every_brand_is_in_the_readme_and_in_the_configuration() -> None:
    for name, url in settings.BRANDS.items():
        assert name in README
        assert url in README
        assert url in CONFIG


def test_the_errors_that_a_person_can_mend_are_in_the_readme() -> None:
    troubles = README.split("## Troubleshooting")[1].split("\n## ")[0]
    for mnemonic in re.findall(r"`(\w+_\w+)`(?:,| \|)", troubles):
        assert mnemonic in {*BY_MNEMONIC, *settings.KNOWN}, mnemonic


def test_the_examples_of_the_readme_run(serve: Callable[..., SandboxServer], place: Path) -> None:
    sandbox = serve(SyntheticAccount(first_day=pendulum.today("UTC").subtract(days=3).date()))
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SOURCES__COMAGIC__BASE_URL": sandbox.base_url,
        "SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN": KEY,
    }

    def shown(*command: str) -> str:
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    shown(sys.executable, "-c", example)
    assert (place / "comagic.duckdb").exists()

    shown(sys.executable, str(ROOT / "comagic_pipeline.py"))
    (query,) = (block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if "SELECT" in block)
    assert "partition_date" in shown("bash", "-c", query.replace(".venv/bin/python", sys.executable))


def test_telemetry_is_off_in_the_committed_configuration() -> None:
    assert tomlkit.parse(CONFIG)["runtime"]["dlthub_telemetry"] is False


def test_secrets_are_ignored_and_the_example_holds_none() -> None:
    assert ".dlt/secrets.toml" in (ROOT / ".gitignore").read_text().splitlines()
    example = tomlkit.parse(EXAMPLE)
    assert example == {"sources": {"comagic": {"credentials": {}}}, "notifications": {}, "runtime": {}}
