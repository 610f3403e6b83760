"""Reads the figures of a report, and writes it to a file or a bucket."""

from datetime import date
from pathlib import Path
from typing import Any

import pendulum

from ...exceptions import ConfigurationError
from ...load.destinations import AnyDestination
from ...load.figures import Figures, read_figures
from ...settings import Settings
from ...values import LANGUAGES
from .language import Language

__all__ = ["LANGUAGES", "REPORT", "write_report"]

REPORT = "comagic_report.html"
"""Where a report is written unless it is said."""
SHOWN_FIELDS = ("campaign_name", "source_name", "utm_source", "utm_medium", "channel", "tags.tag_name")
NAME_FIELDS = ("employees.employee_full_name",)
"""Fields whose values a report shows; the second with names alone."""


def write_report(
    destination: AnyDestination,
    dataset_name: str,
    settings: Settings,
    output: str,
    since: date | None = None,
    until: date | None = None,
    language: str | None = None,
    are_names_shown: bool = False,
) -> Figures:
    """Writes the report of a period; permission to read the dataset is enough.

    Args:
        destination: the destination: BigQuery, DuckDB or PostgreSQL.
        dataset_name: the dataset.
        settings: thresholds of figures, and the language unless one is given.
        output: a file, or an address such as `gs://bucket/report.html`.
        since: first day, in the account's time zone; default: 30 days with `until`.
        until: last day; default: the last whole day that is loaded.
        language: `en` or `ru`.
        are_names_shown: whether telephone numbers and persons' names are shown.

    Returns:
        The figures.

    Raises:
        ComagicError: nothing is loaded yet.
        ConfigurationError: the days are in the wrong order, or the file cannot be written.
    """
    from .page import make_page  # the template library takes its time to import

    figures = read_figures(destination, dataset_name, settings, since, until)
    chosen = Language(language or settings.language)
    zone = str(figures.accounts[0]["timezone"]) if figures.accounts else "UTC"
    notes = _notes(settings, chosen, are_names_shown)
    page = make_page(figures, chosen, are_names_shown, pendulum.now(zone).naive(), notes)
    _save(page, output)
    return figures


def _notes(settings: Settings, language: Language, are_names_shown: bool) -> list[str]:
    shown = {*SHOWN_FIELDS, *(NAME_FIELDS if are_names_shown else ())}
    names = [name for name in settings.pseudonymize_fields if name.rpartition("/")[2] in shown]
    return [language.text("left_pseudonyms", names=", ".join(names))] if names else []


def _save(page: str, output: str) -> None:
    """Writes the page, in one go where it is a file: nobody opens half of it."""
    if "://" in output:
        _upload(page, output)
        return
    file = Path(output)
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_text(page, "utf-8")
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ConfigurationError(
            f"--output {output}: {error.strerror or error}. Name a file that can be written."
        ) from None


def _upload(page: str, address: str) -> None:
    """Puts the page into a bucket, by dlt's own settings of buckets (`destination.filesystem`)."""
    from dlt.common.configuration import resolve_configuration
    from dlt.common.storages import FilesystemConfiguration, fsspec_from_config

    configuration: Any = resolve_configuration(
        FilesystemConfiguration(bucket_url=address), sections=("destination", "filesystem")
    )
    client, _ = fsspec_from_config(configuration)
    with client.open(address, "wb", content_type="text/html; charset=utf-8") as file:
        file.write(page.encode())
