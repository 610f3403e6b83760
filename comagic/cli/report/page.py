"""Makes the report: one HTML file with everything in it, which makes no request."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ...load.figures import Figures
from .checks import checks
from .headlines import headlines
from .language import Language
from .names import Names
from .section import Section
from .sections import make_sections

HERE = Path(__file__).parent
VENDOR = HERE / "vendor"
ECHARTS = VENDOR / "echarts.min.js"
MANIFEST = VENDOR / "vendor.json"
"""Version and hash of the vendored file; `.ci/vendor` writes it."""

POLICY = "default-src 'none'; script-src {scripts}; style-src {styles}; base-uri 'none'; form-action 'none'"
"""Nothing may be requested, and no other script or style may run."""
ESCAPED = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}
"""What could end a script's element, or start a comment in it."""
TITLES = {"missed": "left_missed"}
"""Titles of parts that are left out and are no sections."""


def make_page(
    figures: Figures, language: Language, are_names_shown: bool, moment: datetime, notes: Sequence[str]
) -> str:
    """Returns the report as HTML.

    Args:
        figures: the figures.
        language: the language of the texts.
        are_names_shown: whether telephone numbers and persons' names are shown.
        moment: when it is written, in the account's time zone.
        notes: more of what is to be known about the figures.
    """
    sections = list(make_sections(figures, language, Names(language, are_names_shown)))
    script, style, library = _read("page.js"), _read("page.css"), ECHARTS.read_text("utf-8")
    policy = POLICY.format(scripts=f"{_digest(library)} {_digest(script)}", styles=_digest(style))
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            language=language,
            text=language.text,
            policy=policy,
            style=style,
            library=library,
            script=script,
            period=language.period(figures.days.since, figures.days.until),
            before=language.period(figures.days.before.since, figures.days.before.until),
            is_compared=bool(figures.before),
            made=_made(figures, language, moment),
            headlines=list(headlines(figures, language)),
            sections=sections,
            checks=list(checks(figures, language)),
            is_complete=figures.trust.is_complete(figures.days),
            left_out=[*_left_out(figures, language), *notes],
            data=to_json(report_data(figures, are_names_shown, language)),
            charts=to_json({section.name: chart(section) for section in sections}),
            version=json.loads(MANIFEST.read_text("utf-8"))["version"],
        )
    )


def chart(section: Section) -> Mapping[str, Any]:
    """What the script draws, and what a screen reader reads out."""
    return {"option": section.option, "height": section.height, "label": " ".join([section.title + ".", section.lead])}


def report_data(figures: Figures, are_names_shown: bool, language: Language) -> dict[str, Any]:
    """The report's figures, for programs that read the page."""
    names = Names(language, are_names_shown)
    days, trust = figures.days, figures.trust
    return {
        "period": {"since": days.since, "until": days.until, "days": len(days)},
        "period_before": {"since": days.before.since, "until": days.before.until},
        "accounts": figures.accounts,
        "totals": figures.totals,
        "totals_before": figures.before or None,
        "calls_by_day": [
            {"day": row["partition_date"], **{name: value for name, value in row.items() if name != "partition_date"}}
            for row in figures.by_day
        ],
        "missed_by_hour": figures.hours,
        "recovery": [{name: row[name] for name in row if name != "is_current"} for row in figures.recovery],
        "sources": [_named(row, names, "source", "medium") for row in figures.sources],
        "campaigns": [_named(row, names, "campaign") for row in figures.campaigns],
        "employees": [
            {**_named(row, names), "employee": names.person(row["employee"], row["employee_id"])}
            for row in figures.employees
        ],
        "tags": [_named(row, names, "tag") for row in figures.tags],
        "durations": figures.durations,
        "funnel": figures.funnel or None,
        "trust": {
            **vars(trust),
            "verification": vars(trust.verification) if trust.verification else None,
            "is_covered": trust.is_covered(days),
            "is_complete": trust.is_complete(days),
        },
        "left_out": {part: {"reason": one.reason, "names": one.names} for part, one in figures.left_out.items()},
    }


def to_json(data: Any) -> str:
    """Returns data as JSON that can be inside of a script's element whatever texts it has."""
    return json.dumps(data, ensure_ascii=False, default=_text_of).translate(ESCAPED)


def _named(row: Mapping[str, Any], names: Names, *columns: str) -> dict[str, Any]:
    """A row without the count of all rows, its names as they may be shown."""
    shown = {name: names.shown(row[name]) or None for name in columns}
    return {name: value for name, value in {**row, **shown}.items() if name != "found"}


def _made(figures: Figures, language: Language, moment: datetime) -> str:
    zones = ", ".join(sorted({str(row["timezone"]) for row in figures.accounts}))
    accounts = ", ".join(str(row["app_id"]) for row in figures.accounts if row["app_id"] is not None)
    name = "made" if accounts else "made_without_id"
    return language.text(name, moment=language.moment(moment), accounts=accounts, zones=zones)


def _left_out(figures: Figures, language: Language) -> list[str]:
    found = []
    for part, one in figures.left_out.items():
        title = language.text(TITLES.get(part, f"{part}_title"))
        found.append(f"{title}: {language.text(f'left_{one.reason}', names=', '.join(one.names))}")
    return found


def _text_of(value: Any) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} has no place in JSON.")


def _digest(text: str) -> str:
    """A script or style as the policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _read(name: str) -> str:
    return (HERE / name).read_text("utf-8")


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
