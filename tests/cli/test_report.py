"""The report: one file with the account's figures, in two languages, without what it must not show."""

import json
import re
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from string import Formatter
from typing import Any

import fsspec
import pytest
import yaml

from comagic.cli.report import write_report
from comagic.cli.report.language import Language
from comagic.cli.report.names import Names
from comagic.cli.report.page import make_page, to_json
from comagic.cli.report.spans import spans
from comagic.load.destinations import choose_destination
from comagic.load.figures import Figures, LeftOut
from comagic.settings import resolve_settings
from tests.support.accounts import PSEUDONYM_KEY, TODAY, access_to, recent_account
from tests.support.browser import Browser
from tests.support.processes import ROOT, Command, Serve
from tests.support.report_figures import HARMFUL, PERSON, PHONE, sample_figures
from tests.support.warehouses import Warehouse

EN, RU = Language("en"), Language("ru")
TEXTS = yaml.safe_load((ROOT / "comagic/cli/report/texts.yaml").read_text("utf-8"))


def page_of(figures: Figures, language: Language = EN, are_names_shown: bool = False) -> str:
    return make_page(figures, language, are_names_shown, datetime(2026, 11, 30, 5), [])


def data_of(page: str) -> dict[str, Any]:
    """Returns the figures that stand in a page."""
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def visible(page: str) -> str:
    """Returns a page without its scripts and styles."""
    return re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)


def test_report_opens_from_its_file_with_the_figures_of_the_account(
    serve: Serve, command: Command, place: Path, tmp_path: Path
) -> None:
    """Figures are those of SQL on the destination, and of a count in Python over the account's calls."""
    account = recent_account(20)
    assert command(**access_to(serve(account))).code == 0
    result = command("report")
    assert result.code == 0, result.err
    file = place / "comagic_report.html"
    assert f"Wrote {file}: " in result.out
    assert "Left out funnel: not loaded: deals_history, visitor_sessions" in result.out
    browser = Browser(tmp_path / "browser")
    browser.show(1280)
    browser.open(file)
    data = json.loads(browser.run("document.getElementById('report-data').textContent"))
    assert browser.run("document.querySelectorAll('[data-chart] svg').length") >= 6
    assert (browser.requests(), browser.complaints()) == ([], [])
    browser.close()
    since, until = data["period"]["since"], data["period"]["until"]
    sql = f"""
        SELECT count(*), count(*) FILTER (is_lost AND direction = 'in'), sum(talk_duration)
        FROM calls WHERE partition_date BETWEEN '{since}' AND '{until}'
    """
    totals = data["totals"]
    assert Warehouse(place).query(sql) == [(totals["calls"], totals["missed"], totals["talk_seconds"])]
    end = date.fromisoformat(until) + timedelta(days=1)
    calls = list(
        account.calls(datetime.fromisoformat(since), datetime(end.year, end.month, end.day), datetime(2100, 1, 1))
    )
    assert totals["calls"] == len(calls) > 0
    assert totals["missed"] == sum(call["is_lost"] and call["direction"] == "in" for call in calls) > 0
    by_day = {row["day"]: (row["calls"], row["missed"]) for row in data["calls_by_day"]}
    for day in (since, until):
        own = [call for call in calls if call["start_time"].startswith(day)]
        assert by_day[day] == (len(own), sum(call["is_lost"] for call in own))
    assert data["trust"]["is_complete"] is True


READS = "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print(flush=True); sys.stdin.read()"


@pytest.mark.expensive(3)
def test_report_reads_a_file_that_something_else_reads(serve: Serve, command: Command, place: Path) -> None:
    """DuckDB allows many readers, or one writer: the report is a reader."""
    warehouse = Warehouse(place)
    warehouse.load(serve(recent_account(1)))
    warehouse.pipeline.deactivate()
    words = [sys.executable, "-c", READS, str(warehouse.file)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout
        assert reader.stdin
        reader.stdout.readline()
        result = command("report")
        reader.stdin.close()
    assert result.code == 0, result.err
    assert (place / "comagic_report.html").exists()


def test_report_says_what_it_cannot_show(serve: Serve, command: Command, place: Path) -> None:
    environment = access_to(
        serve(recent_account(3)),
        SOURCES__COMAGIC__EXCLUDE_FIELDS=json.dumps(["is_lost", "contact_phone_number", "employees", "attributes"]),
        SOURCES__COMAGIC__PSEUDONYMIZE_FIELDS=json.dumps(["campaign_name"]),
        SOURCES__COMAGIC__PSEUDONYM_KEY=PSEUDONYM_KEY,
    )
    assert command(**environment).code == 0
    result = command("report", "--output", "short.html", "--language", "en", **environment)
    assert result.code == 0, result.err
    page = (place / "short.html").read_text("utf-8")
    shown = visible(page)
    for line in (
        "When calls are missed: not loaded: the fields calls.is_lost",
        "What became of missed calls: not loaded: the fields calls.is_lost, calls.contact_phone_number",
        "Employees: not loaded: the tables calls__employees",
        "Cost per call by campaign: no costs in this period",
        "campaign_name: values are pseudonyms",
        "Missed calls: not loaded: the fields calls.is_lost",
    ):
        assert line in shown
    assert data_of(page)["totals"]["missed"] is None
    assert 'id="hours"' not in page
    assert 'id="days"' in page
    assert "Target calls" not in shown


@pytest.mark.expensive(2)
def test_report_of_days_without_calls_and_of_one_day(serve: Serve, command: Command, place: Path) -> None:
    assert command(**access_to(serve(recent_account(20)))).code == 0
    assert command("report", "--since", "2020-01-01", "--until", "2020-01-31").code == 0
    page = (place / "comagic_report.html").read_text("utf-8")
    assert "there are no calls in this period" in page
    assert "data-chart" not in visible(page)
    assert "not the whole period" in page
    day = (TODAY - timedelta(days=2)).isoformat()
    assert command("report", "--since", day, "--until", day).code == 0
    data = data_of((place / "comagic_report.html").read_text("utf-8"))
    assert [row["day"] for row in data["calls_by_day"]] == [day]


@pytest.mark.expensive(2)
def test_last_verification_is_shown(serve: Serve, command: Command, place: Path) -> None:
    assert command(**access_to(serve(recent_account(3)))).code == 0
    row = {"resource": "calls", "period_start": date(2026, 5, 1), "period_end": date(2026, 5, 3), "days_differing": 2}
    moment = datetime.fromisoformat("2026-05-04T01:00:00+00:00")
    rows = [{**row, "verified_at": moment, "agrees": False, "is_complete": True}]
    warehouse = Warehouse(place)
    warehouse.pipeline.run(rows, table_name="verifications", loader_file_format="parquet")
    write_report(choose_destination(), "comagic", resolve_settings(), "report.html", language="en")
    shown = visible((place / "report.html").read_text("utf-8")).replace("\u00a0", " ")
    assert "4 May 2026, 04:00, 1 May 2026 to 3 May 2026: days that differ from the API: 2" in shown


@pytest.mark.expensive(2)
def test_report_goes_to_a_bucket(serve: Serve, command: Command, place: Path) -> None:
    """A bucket in memory: dlt knows it by its protocol, as it knows gs:// and s3://."""
    assert command(**access_to(serve(recent_account(1)))).code == 0
    result = command("report", "--output", "memory://bucket/calls.html")
    assert result.code == 0, result.err
    assert fsspec.filesystem("memory").cat("/bucket/calls.html").startswith(b"<!doctype html>")


def test_wrong_option_is_named(serve: Serve, command: Command, place: Path) -> None:
    Warehouse(place).load(serve(recent_account(1)))
    for words, message in (
        ("--since 2026-05-02T10:00:00", "--since: '2026-05-02T10:00:00' is not a day; write YYYY-MM-DD."),
        ("--output there/is/no/folder.html", "--output there/is/no/folder.html: No such file or directory."),
    ):
        result = command("report", *words.split())
        assert (result.code, message in result.err) == (2, True), result.err


def test_wrong_language_is_an_error_but_not_the_one_of_gettext(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "de_DE:de")
    assert resolve_settings().language == "en"
    monkeypatch.setenv("SOURCES__COMAGIC__LANGUAGE", "de")
    with pytest.raises(Exception, match=r"sources\.comagic\.language: 'de' is not en or ru"):
        resolve_settings()


@pytest.mark.parametrize("language", [EN, RU])
def test_names_from_the_data_are_escaped_and_persons_hidden(language: Language) -> None:
    page = page_of(sample_figures(), language)
    assert page.count("</script>") == page.count("<script") == 4
    assert "<img" not in visible(page)
    for hidden in (PERSON, PHONE):
        assert hidden not in page
    data = data_of(page)
    assert data["campaigns"][0]["campaign"] == HARMFUL
    assert data["employees"][0]["employee"] == language.text("employee", id=3001)
    shown = page_of(sample_figures(), language, are_names_shown=True)
    assert shown.count(PERSON) > 2
    assert PHONE in shown


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Звоните +7 (495) 123-00-11!", "Звоните [номер]!"),
        ("8 800 555 35 35", "[номер]"),
        ("79161234567", "[номер]"),
        ("+44 20 7946 0958", "[номер]"),
        ("Кампания 17345678901", "Кампания 17345678901"),
        ("yandex 123456789", "yandex 123456789"),
        ("Квартиры 2026-05-01", "Квартиры 2026-05-01"),
        ("a\n b", "a b"),
        (None, ""),
    ],
)
def test_telephone_numbers_in_names_are_hidden(name: str | None, expected: str) -> None:
    assert Names(RU, are_shown=False).shown(name) == expected


def test_texts_are_in_both_languages_with_the_same_words() -> None:
    for name, texts in TEXTS.items():
        assert texts.keys() == {"en", "ru"}, name
        if isinstance(texts["en"], list):
            assert (len(texts["en"]), len(texts["ru"])) == (2, 3), name
            continue
        words = [{field for _, field, _, _ in Formatter().parse(texts[code]) if field} for code in ("en", "ru")]
        assert words[0] == words[1], name


@pytest.mark.parametrize("language", [EN, RU])
def test_every_section_is_made_in_each_language(language: Language) -> None:
    figures = sample_figures()
    page = page_of(figures, language)
    for name in (
        "days",
        "hours",
        "recovery",
        "campaigns",
        "costs",
        "sources",
        "employees",
        "tags",
        "durations",
        "funnel",
    ):
        assert f'data-chart="{name}"' in page
    figures.left_out["hours"] = LeftOut("tables", ["calls"])
    assert 'data-chart="hours"' not in page_of(figures, language)
    assert (
        not re.search(r"[А-Яа-я]", re.sub(r"Кампания|Поиск|Баннер|Целевой звонок", "", visible(page))) or language is RU
    )


@pytest.mark.parametrize(
    ("number", "english", "russian"),
    [
        (0, "0 calls", "0 звонков"),
        (1, "1 call", "1 звонок"),
        (2, "2 calls", "2 звонка"),
        (5, "5 calls", "5 звонков"),
        (11, "11 calls", "11 звонков"),
        (14, "14 calls", "14 звонков"),
        (21, "21 calls", "21 звонок"),
        (112, "112 calls", "112 звонков"),
        (1_234_567, "1,234,567 calls", "1\u00a0234\u00a0567 звонков"),
    ],
)
def test_plurals(number: int, english: str, russian: str) -> None:
    assert EN.counted(number, "calls") == english
    assert RU.counted(number, "calls") == russian


def test_numbers_and_dates_are_written_as_in_the_language() -> None:
    assert (EN.number(-1234.5, 1), RU.number(-1234.5, 1)) == ("\u22121,234.5", "\u22121\u00a0234,5")
    assert (EN.percent(0.1844), RU.percent(0.1844), RU.percent(None)) == ("18.4%", "18,4\u00a0%", "\u2013")
    assert (EN.money(99.456), RU.money(1234.5)) == ("99.46", "1\u00a0234")
    assert EN.minutes(187.4) == "3:07"
    day = date(2026, 5, 9)
    assert EN.day(day).split() == ["9", "May", "2026"]
    assert RU.day(day).split() == ["9", "мая", "2026", "г."]
    periods = [(day, day), (day, date(2026, 5, 31)), (day, date(2026, 6, 1)), (date(2025, 12, 1), date(2026, 1, 9))]
    plain = [[language.period(*ends).replace("\u00a0", " ") for ends in periods] for language in (EN, RU)]
    assert plain == [
        ["9 May 2026", "9\u201331 May 2026", "9 May \u2013 1 June 2026", "1 December 2025 \u2013 9 January 2026"],
        [
            "9 мая 2026 г.",
            "9\u201331 мая 2026 г.",
            "9 мая \u2013 1 июня 2026 г.",
            "1 декабря 2025 г. \u2013 9 января 2026 г.",
        ],
    ]


@pytest.mark.parametrize(
    ("days", "kind", "bars"), [(1, "days", 1), (100, "days", 100), (366, "weeks", 53), (1096, "months", 37)]
)
def test_long_periods_are_shown_by_week_and_month(days: int, kind: str, bars: int) -> None:
    figures = sample_figures(days)
    found, rows = spans(figures.by_day)
    assert (found, len(rows)) == (kind, bars)
    assert sum(row["calls"] for row in rows) == figures.totals["calls"]
    assert len(data_of(page_of(figures))["calls_by_day"]) == days


def test_json_in_the_page_cannot_end_its_element() -> None:
    text = to_json({"name": "</script><!-- & \u2028"})
    assert not re.search("[<>&\u2028]", text)
    assert json.loads(text) == {"name": "</script><!-- & \u2028"}


def test_vendored_files_are_those_of_their_packages() -> None:
    checked = subprocess.run([ROOT / ".ci" / "vendor", "--check"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")
