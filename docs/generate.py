"""Fills the generated parts of the reference pages from the code; the rest of a page is written by hand.

    .venv/bin/python -m docs.generate

A generated part is between `<!-- begin: NAME -->` and `<!-- end: NAME -->`, for each NAME in `PARTS`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

from comagic.catalog import LIST, Field, Report, Resource, dictionaries, reports, resources
from comagic.cli.commands import cli
from comagic.extract import accounts, load_windows
from comagic.extract.schema import CHILD_COLUMNS, PARENT_ID, REPLACED_CHILD_COLUMNS, ROOT_COLUMNS, ROOT_ID, flatten
from comagic.load import verifications
from comagic.load.views.definitions import View, views
from comagic.settings import ConnectionSettings, NotificationSettings, Settings, declared_settings
from docs.chart import draw

HERE = Path(__file__).parent
FLAT = "calls_flat"
PAGES = ("cli.md", "settings.md", "tables.md")


def fill(text: str) -> str:
    """A page with its generated parts up to date."""
    return re.sub(
        r"(<!-- begin: (\w+) -->\n).*?(<!-- end: \2 -->)",
        lambda part: f"{part[1]}\n{PARTS[part[2]]().strip()}\n\n{part[3]}",
        text,
        flags=re.DOTALL,
    )


def _cli() -> str:
    """The help texts of all commands."""
    return "\n".join([_help(), *(_help(name) for name, command in cli.commands.items() if not command.hidden)])


def _settings() -> str:
    """Every setting of the source with its default and meaning."""
    declared = declared_settings(ConnectionSettings, Settings)
    return _settings_table({name: setting for name, setting in declared.items() if name != "credentials"})


def _notifications() -> str:
    """The same of notifications."""
    return _settings_table(declared_settings(NotificationSettings))


def _tables() -> str:
    """Each table with its key and columns."""
    parts = [_contents()]
    for title, chosen in (("Reports", reports().values()), ("Dictionaries", dictionaries().values())):
        parts += [f"## {title}\n", *(text for resource in chosen for text in _resource_tables(resource))]
    parts += [
        "## Accounts\n",
        _table(accounts.TABLE, accounts.DESCRIPTION, "`id`", accounts.FIELDS),
        "## Load history\n",
        _table(
            load_windows.TABLE,
            load_windows.DESCRIPTION,
            "none; `_dlt_load_id` is in `_dlt_loads.load_id`",
            load_windows.FIELDS,
        ),
        _table(verifications.TABLE, verifications.DESCRIPTION, "none", verifications.FIELDS),
    ]
    return "\n".join(parts)


def _views() -> str:
    """Each view with its columns."""
    return "\n".join(_view(view) for view in views().values())


def _view(view: View) -> str:
    lines = [f"### {view.name}\n", f"{view.description} Needs {_listed(view.needs)}.\n"]
    if view.name == FLAT:
        lines.append("It has all columns of `calls`, a local twin of each time (`finish_time_local`), and:\n")
    lines += ["| column | meaning |", "| --- | --- |"]
    lines += [f"| `{name}` | {text} |" for name, text in view.columns.items()]
    return "\n".join(lines) + "\n"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


PARTS = {
    "cli": _cli,
    "settings": _settings,
    "notifications": _notifications,
    "tables": _tables,
    "views": _views,
}


def _help(*command: str) -> str:
    name = "comagic_pipeline.py"
    shown = CliRunner().invoke(cli, [*command, "--help"], prog_name=name, terminal_width=100).output.strip()
    return f"## {' '.join([name, *command])}\n\n```text\n{shown}\n```\n"


def _settings_table(declared: Mapping[str, Any]) -> str:
    lines = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for name, setting in declared.items():
        shown, default = setting.metadata.get("shown"), setting.default
        if shown is None:
            text = str(default).lower() if isinstance(default, bool) else str(default)
            shown = "" if default in (None, (), "") else f"`{text}`"
        lines.append(f"| `{name}` | {shown} | {setting.metadata['meaning']} |")
    return "\n".join(lines)


def _contents() -> str:
    lines = ["| resource | method | a row is | key |", "| --- | --- | --- | --- |"]
    for resource in resources().values():
        name = resource.name
        lines.append(
            f"| [`{name}`](#{name}) | `{resource.method}` | {resource.description} | `{resource.primary_key}` |"
        )
    return "\n".join(lines) + "\n"


def _resource_tables(resource: Resource) -> Iterator[str]:
    fields = [*resource.fields.values(), *resource.computed.values()]
    yield _table(resource.name, resource.description, f"`{resource.primary_key}`", fields)
    for field in fields:
        if field.type == LIST:
            children = [field.items] if field.items else list(field.children.values())
            own, parent = (
                (CHILD_COLUMNS, ROOT_ID) if isinstance(resource, Report) else (REPLACED_CHILD_COLUMNS, PARENT_ID)
            )
            key = f"`{parent}` = `{resource.name}._dlt_id`"
            yield _table(f"{resource.name}__{field.name}", field.description, key, children, own)


def _table(
    name: str, description: str, key: str, fields: Iterable[Field], dlt_columns: Mapping[str, str] = ROOT_COLUMNS
) -> str:
    lines = [f"### {name}\n", f"{description} Key: {key}.\n", "| column | type | meaning |", "| --- | --- | --- |"]
    for field in flatten(fields):
        if field.type != LIST:
            mark = "*" if field.selected else ""
            lines.append(f"| `{field.name}`{mark} | {field.type} | {field.meaning} |")
    for column, meaning in dlt_columns.items():
        lines.append(f"| `{column}` | {'bigint' if column == '_dlt_list_idx' else 'text'} | {meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for page in PAGES:
        file = HERE / page
        file.write_text(fill(file.read_text("utf-8")), "utf-8")
        click.echo(f"docs/{page} is up to date")
    (HERE / "pace.svg").write_text(draw((HERE / "performance.md").read_text("utf-8")), "utf-8")
