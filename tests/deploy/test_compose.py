"""deploy/compose: the file by Compose's schema, and what it would start, started without containers."""

import json
import re
import shutil
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg2
import pytest
import yaml

from comagic.cli.errors import EXIT_EARLY
from comagic.sandbox import SyntheticAccount
from comagic.sandbox.switches import KEY
from comagic.settings import KNOWN, KNOWN_CREDENTIALS
from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.pages import block_after, code_blocks, read_page
from tests.support.processes import ROOT, Command, Serve
from tests.support.warehouses import PostgreSQL

FOLDER = ROOT / "deploy" / "compose"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
PAGES = ["deploy/compose/README.md", "deploy/compose/README.ru.md"]
PAGE = read_page(PAGES[0])
CREDENTIALS = "DESTINATION__POSTGRES__CREDENTIALS__"
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def interpolate(text: str, variables: dict[str, str]) -> str:
    """What Compose makes of a value: a variable with a default after :-, or with an error after :? if it is missing."""

    def value(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        found = variables.get(name, "")
        if not found and operator == "?":
            raise LookupError(f"required variable {name} is missing a value: {rest}")
        return found or (rest if operator == "-" else "")

    return VARIABLE.sub(value, text)


def environment(service: str, variables: dict[str, str]) -> dict[str, str]:
    """A service's environment as Compose fills it in."""
    return {name: interpolate(value, variables) for name, value in SERVICES[service]["environment"].items()}


def start_words(unit: str) -> list[str]:
    """The words of the command line that a unit gives to the service `load`; none for the image's default."""
    (words,) = re.findall(r"^ExecStart=/usr/bin/docker compose run --rm -T load\b(.*)$", read_unit(unit), re.MULTILINE)
    return str(words).split()


def read_unit(name: str) -> str:
    """A unit's text."""
    return (FOLDER / name).read_text("utf-8")


def write_env(place: Path, key: str) -> dict[str, str]:
    """Runs the page's first command with a key typed in; returns what it writes."""
    command, _ = code_blocks(PAGE, "sh")[0].splitlines()
    (place / "deploy" / "compose").mkdir(parents=True)
    bash = shutil.which("bash")
    assert bash
    subprocess.run([bash, "-c", command], cwd=place, input=f"{key}\n", check=True, capture_output=True, text=True)
    file = place / "deploy" / "compose" / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    return dict(re.findall(r"^(\w+)='(.*)'$", file.read_text("utf-8"), re.MULTILINE))


def test_file_follows_the_schema_of_compose() -> None:
    tool = str(Path(sys.executable).parent / "check-jsonschema")
    words = [tool, "--builtin-schema", "vendor.compose-spec", str(FOLDER / "compose.yaml")]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_database_and_loader_agree_and_image_has_what_postgres_needs() -> None:
    given = {"DATABASE_PASSWORD": "secret", "COMAGIC_ACCESS_TOKEN": "key"}
    server, loader = environment("postgres", given), environment("load", given)
    for own, loaders in (("DB", "DATABASE"), ("USER", "USERNAME"), ("PASSWORD", "PASSWORD")):
        assert server[f"POSTGRES_{own}"] == loader[f"{CREDENTIALS}{loaders}"]
    assert loader[f"{CREDENTIALS}HOST"] in SERVICES
    assert SERVICES["postgres"]["ports"] == ["127.0.0.1:${DATABASE_PORT:-5432}:5432"], "open to other machines"
    for name in loader:
        if name.startswith("SOURCES__"):
            assert name.removeprefix("SOURCES__COMAGIC__").lower().removeprefix("credentials__") in (
                KNOWN | KNOWN_CREDENTIALS
            ), name
    lock = SERVICES["load"]["build"]["args"]["LOCK"]
    assert "psycopg2-binary==" in (ROOT / "deploy" / "locks" / f"{lock}.txt").read_text("utf-8")
    assert "!deploy/locks/*.txt" in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    for missing in given:
        with pytest.raises(LookupError, match=f"{missing} is missing a value: set it in deploy/compose/.env"):
            environment("load", {name: value for name, value in given.items() if name != missing})


def test_two_commands_load_and_hourly_timer_reads_a_day(
    serve: Serve, command: Command, warehouse_in_postgres: PostgreSQL, place: Path
) -> None:
    account = recent_account(3)
    sandbox = serve(account)
    start_date = access_to(sandbox)["SOURCES__COMAGIC__START_DATE"]
    own = {"COMAGIC_BASE_URL": sandbox.base_url, "COMAGIC_START_DATE": start_date}
    loader = {
        **environment("load", {**write_env(place, KEY), **own}),
        **reached_here(warehouse_in_postgres),
    }
    entry = re.search(r"^ENTRYPOINT (.*)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert entry
    assert json.loads(entry[1]) == ["python", "comagic_pipeline.py"], "the command line, as below"
    for unit in ("comagic-load.service", "comagic-hourly.service"):
        result = command(*start_words(unit), **loader)
        assert result.code == 0, result.err
    assert differences(warehouse_in_postgres.calls(), expected_calls(account, LONG_AGO)) == []
    assert warehouse_in_postgres.query("SELECT DISTINCT lookback_days FROM load_windows ORDER BY 1") == [(1,), (14,)]
    check_reader(warehouse_in_postgres)


def reached_here(warehouse: PostgreSQL) -> dict[str, str]:
    """Where the tests' server is, instead of the service `postgres`: a socket, and a database and user of its own."""
    address = urlsplit(warehouse.address)
    (folder,) = parse_qs(address.query)["host"]
    return {
        f"{CREDENTIALS}HOST": "localhost",
        f"{CREDENTIALS}DATABASE": address.path.removeprefix("/"),
        f"{CREDENTIALS}USERNAME": str(address.username),
        f"{CREDENTIALS}QUERY": json.dumps({"host": folder}),
    }


def check_reader(warehouse: PostgreSQL) -> None:
    """Makes the page's user for reports: it reads, also tables of later loads, and cannot write."""
    with closing(psycopg2.connect(warehouse.address)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(block_after(PAGE, "make a user that can only read"))
        cursor.execute("CREATE TABLE comagic.later (id bigint)")
        cursor.execute("SET ROLE reader")
        cursor.execute("SELECT count(*) > 0 FROM comagic.calls UNION ALL SELECT count(*) = 0 FROM comagic.later")
        assert cursor.fetchall() == [(True,), (True,)]
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("DELETE FROM comagic.calls")


@pytest.mark.parametrize("name", ["comagic-load", "comagic-hourly"])
def test_units_are_valid_and_an_early_stop_is_no_failure(name: str, tmp_path: Path) -> None:
    assert f"SuccessExitStatus={EXIT_EARLY}" in read_unit(f"{name}.service")
    (calendar,) = re.findall(r"^OnCalendar=(.*)$", read_unit(f"{name}.timer"), re.MULTILINE)
    assert calendar.endswith(f" {SyntheticAccount().timezone}")
    assert ":00:00 " not in calendar, "most schedules start on the full hour"
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    service = read_unit(f"{name}.service").replace("docker.service", "").replace("/usr/bin/docker", "/bin/true")
    (tmp_path / f"{name}.service").write_text(service, "utf-8")
    (tmp_path / f"{name}.timer").write_text(read_unit(f"{name}.timer"), "utf-8")
    for words in (("verify", f"{name}.service", f"{name}.timer"), ("calendar", calendar)):
        ended = subprocess.run([analyze, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_name_what_exists(page: str) -> None:
    text = read_page(page)
    assert code_blocks(text, "sh") == code_blocks(PAGE, "sh")
    assert code_blocks(text, "sql") == code_blocks(PAGE, "sql")
    used = {name for name, _, _ in VARIABLE.findall((FOLDER / "compose.yaml").read_text("utf-8"))}
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE)) == used
    for file in re.findall(r"-f (\S+)", text):
        assert (ROOT / file).exists()
    for service in re.findall(r"docker compose (?:-f \S+ )?(?:run|exec|build|pull|up)(?: -{1,2}\w+)* (\w+)", text):
        assert service in SERVICES, service
    for unit in re.findall(r"(comagic-\w+\.(?:timer|service))", text):
        assert (FOLDER / unit).exists()
