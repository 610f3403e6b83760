"""The source's constants, and its settings checked by name.

Every setting has one home: a key under `[sources.comagic]` in `.dlt/config.toml` or `.dlt/secrets.toml`, or the
environment variable of the same name (`SOURCES__COMAGIC__START_DATE`). dlt reads them; this module says what is right.
"""

import difflib
import ipaddress
import os
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Iterable, List, Mapping, Optional, Sequence, Tuple, Union
from urllib.parse import urlsplit

import dlt
import pendulum
from dlt.common.configuration import with_config
from dlt.common.typing import TSecretStrValue
from pendulum.tz.exceptions import InvalidTimezone

from .catalog import Report, dictionaries, reports
from .catalog import resources as known_resources
from .exceptions import ConfigurationError
from .extract.privacy import Privacy

BRANDS: Mapping[str, str] = {
    "CoMagic": "https://dataapi.comagic.ru/v2.0",
    "UIS": "https://dataapi.uiscom.ru/v2.0",
    "CallGear": "https://dataapi.callgear.com/v2.0",
    "Novofon": "https://dataapi-jsonrpc.novofon.ru/v2.0",
}
"""Endpoints of the brands (vendor's manual); access of one brand does not work on another's."""

BASE_URL = BRANDS["CoMagic"]
START_DATE = "2024-01-01"
LOOKBACK_DAYS = 14
WINDOW_DAYS = 7
RESOURCES = "calls"
LOAD_PACKAGE_ROWS = 50_000

MAX_LIMIT = 10_000
"""Rows of one answer, at most (vendor's manual)."""
MAX_OFFSET = 100_000
"""Rows that can be skipped, at most (vendor's manual)."""
CEILING = MAX_OFFSET + MAX_LIMIT
"""Rows that one query can reach; a window with more is split."""
MAX_READINGS = 3
"""How often a window is read, at most, whose rows move while it is paged."""

MOST_MINUTES = 100_000
"""Longest deadline that is accepted: some ten weeks."""

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection; for an answer, dlt's `[runtime] request_timeout` (60)."""
MINUTE_WAIT = 60.0
"""Seconds after which the minute's points are renewed at the latest."""
SLOW_SHARE = 0.25
"""Share of the minute's points from which on requests are spread over the rest of the minute."""
MAX_MINUTE_WAITS = 5
"""How often one call waits for the minute's points: others may be spending them, but not for ever."""

NO_ACCESS = (
    "No access is configured. Set sources.comagic.credentials.access_token, or sources.comagic.credentials.login and "
    ".password, in .dlt/secrets.toml (see .dlt/example.secrets.toml) or in the environment "
    "(SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN). To try without an account: python comagic_pipeline.py --demo"
)

ALL_CLIENTS = "all"
"""The setting `user_ids` that stands for each client of the agency."""

SECTION = "sources.comagic"
NOTIFICATIONS = "notifications"
KNOWN = {
    "base_url",
    "credentials",
    "start_date",
    "lookback_days",
    "window_days",
    "timezone",
    "fields",
    "user_id",
    "user_ids",
    "exclude_fields",
    "pseudonymize_fields",
    "pseudonym_key",
    "load_package_rows",
    "max_minutes",
    "skip_unchanged_rows",
    "partition_expiration_days",
    "resources",
    "optional_resources",
}
KNOWN_CREDENTIALS = {"access_token", "login", "password"}
KNOWN_NOTIFICATIONS = {"webhook_url", "webhook_body", "on_success"}

Moment = Union[str, date, datetime]
FieldNames = Union[str, Sequence[str], None]


@dataclass(frozen=True)
class Settings:
    """Settings of the source that are about what to load, checked.

    Attributes:
        start: wall time at which the first load begins.
        lookback: how far each later load reads again.
        window_days: length of a window.
        zone: the account's zone, if the configuration overrides it.
        fields: names of the fields to ask for; empty for the default set.
        privacy: personal data that is left out or replaced.
        load_package_rows: rows after which a load package is closed at the next finished window; 0 for one package.
        max_minutes: time that a run of the command line may take; None for as long as it takes.
        skip_unchanged_rows: compare rows before writing them, rather than write all that were read again.
        resources: names of the resources that are loaded unless others are asked for.
        optional_resources: names of those that the account need not be allowed to read.
        partition_expiration_days: days after which BigQuery drops a partition; None for never.
        user_ids: ids of the clients of an agency that are loaded side by side, or `all`; empty for one account.
    """

    start: datetime
    lookback: timedelta
    window_days: int
    zone: Optional[tzinfo]
    fields: Tuple[str, ...]
    privacy: Privacy
    load_package_rows: int
    max_minutes: Optional[float]
    skip_unchanged_rows: bool
    partition_expiration_days: Optional[int]
    resources: Tuple[str, ...]
    optional_resources: Tuple[str, ...]
    user_ids: Tuple[Union[int, str], ...]

    def selected(self, report: Report) -> List[str]:
        """Names of the report's fields to ask for, its key and cursor always among them, those excluded never.

        The setting `fields` is about calls; of other reports all fields are asked for.

        Raises:
            ConfigurationError: a name is not a field of the report.
        """
        privacy = self.privacy.of(report)
        if self.fields == ("all",) or report.name != "calls":
            return [name for name in report.fields if not privacy.excludes(name)]
        for name in self.fields:
            if name not in report.fields:
                raise ConfigurationError(
                    f"{SECTION}.fields: {report.name} has no field {name!r}{_near(name, report.fields)}; "
                    f"the fields are listed in comagic/catalog/reports/{report.name}.yaml."
                )
        chosen = dict.fromkeys((report.primary_key, report.cursor, *(self.fields or report.selected)))
        return [name for name in chosen if not privacy.excludes(name)]


@with_config(sections=("sources", "comagic"))
def configured_settings(
    start_date: Any = START_DATE,
    lookback_days: int = LOOKBACK_DAYS,
    window_days: int = WINDOW_DAYS,
    timezone: Optional[str] = None,
    fields: Any = None,
    exclude_fields: Any = None,
    pseudonymize_fields: Any = None,
    pseudonym_key: Optional[TSecretStrValue] = None,
    load_package_rows: int = LOAD_PACKAGE_ROWS,
    max_minutes: Optional[float] = None,
    skip_unchanged_rows: bool = True,
    partition_expiration_days: Optional[int] = None,
    resources: Any = RESOURCES,
    optional_resources: Any = None,
    user_id: Optional[int] = None,
    user_ids: Any = None,
) -> Settings:
    """The settings, checked; dlt injects those that are not given.

    Raises:
        ConfigurationError: one of them is unknown or wrong; the text begins with its full name.
    """
    refuse_unknown_settings()
    if user_id is not None and user_ids:
        raise ConfigurationError(f"{SECTION}.user_ids: user_id is set, too; set one of the two.")
    return Settings(
        start=parse_moment(f"{SECTION}.start_date", start_date),
        lookback=timedelta(days=_whole("lookback_days", lookback_days, 1, 3650)),
        window_days=_whole("window_days", window_days, 1, 90),
        zone=parse_zone(f"{SECTION}.timezone", timezone) if timezone else None,
        fields=_names("fields", fields),
        privacy=Privacy.checked(
            _names("exclude_fields", exclude_fields), _names("pseudonymize_fields", pseudonymize_fields), pseudonym_key
        ),
        load_package_rows=_whole("load_package_rows", load_package_rows, 0, 10_000_000),
        max_minutes=None if max_minutes is None else minutes(f"{SECTION}.max_minutes", max_minutes),
        skip_unchanged_rows=skip_unchanged_rows,
        partition_expiration_days=(
            None
            if partition_expiration_days is None
            else _whole("partition_expiration_days", partition_expiration_days, 1, 36500)
        ),
        resources=tuple(resolved_resources(f"{SECTION}.resources", _names("resources", resources))),
        optional_resources=tuple(
            resolved_resources(f"{SECTION}.optional_resources", _names("optional_resources", optional_resources))
        ),
        user_ids=_user_ids(user_ids),
    )


def resolved_resources(setting: str, names: Iterable[str]) -> List[str]:
    """Names of resources, groups of them (`reports`, `dictionaries`, `all`) spelled out, each once.

    Args:
        setting: what to call the names in an error.
        names: the names.

    Raises:
        ConfigurationError: a name is neither a resource nor a group.
    """
    groups = {"reports": reports(), "dictionaries": dictionaries(), "all": known_resources()}
    found: List[str] = []
    for name in names:
        if name not in known_resources() and name not in groups:
            near = _near(name, [*known_resources(), *groups])
            raise ConfigurationError(
                f"{setting}: there is no resource {name!r}{near}; there are: {', '.join(known_resources())}, and the "
                f"groups {', '.join(groups)}."
            )
        found += groups.get(name, [name])
    return list(dict.fromkeys(found))


def checked_base_url(base_url: str) -> str:
    """Returns the endpoint without a trailing slash.

    Raises:
        ConfigurationError: it is not an `https` address; plain `http` is accepted for this machine only.
    """
    name = "sources.comagic.base_url"
    try:
        parts = urlsplit(base_url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"{name}: {base_url!r} is not an address: {error}.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(f"{name}: {base_url!r} is not an address such as {BASE_URL}")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError(f"{name}: {base_url!r} would send your access in the clear; use https.")
    return base_url.strip().rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_moment(name: str, value: Moment) -> datetime:
    """Reads a wall time: `YYYY-MM-DD` (midnight) or `YYYY-MM-DD HH:MM:SS`, text or a date of TOML.

    Args:
        name: what to call the value in an error.
        value: the value.

    Raises:
        ConfigurationError: it is no such date, or names a zone (times are in the account's).
    """
    if isinstance(value, date):
        parsed = datetime(*value.timetuple()[:6]) if getattr(value, "tzinfo", None) is None else None
    else:
        parsed = None
        for form in ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"):
            try:
                parsed = datetime.strptime(str(value).strip(), form)
                break
            except ValueError:
                continue
    if parsed is None or not 2000 <= parsed.year <= 2100:
        raise ConfigurationError(
            f"{name}: {str(value)!r} is not a date; write YYYY-MM-DD or YYYY-MM-DD HH:MM:SS, "
            "in the account's time zone."
        )
    return parsed


def minutes(name: str, value: Any) -> float:
    """Reads a number of minutes.

    Raises:
        ConfigurationError: it is none, or nothing can be done in it.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value <= MOST_MINUTES:
        raise ConfigurationError(f"{name}: {value!r} is not a number of minutes above 0.")
    return float(value)


def parse_zone(name: str, value: str) -> tzinfo:
    """Reads the IANA name of a time zone.

    Raises:
        ConfigurationError: there is no such zone.
    """
    try:
        return pendulum.timezone(value)
    except (InvalidTimezone, ValueError, OSError):
        raise ConfigurationError(f"{name}: {value!r} is not a time zone; write a name such as Europe/Moscow.") from None


def refuse_unknown_settings() -> None:
    """Holds every key of this project's sections, in dlt's files and in the environment, against the known ones.

    Raises:
        ConfigurationError: a key is not known; dlt itself would ignore it in silence.
    """
    for section, known in ((SECTION, KNOWN), (NOTIFICATIONS, KNOWN_NOTIFICATIONS)):
        for name in _configured_keys(section):
            key, _, rest = name.partition(".")
            allowed, wrong = (KNOWN_CREDENTIALS, rest) if key == "credentials" and rest else (known, key)
            if wrong not in allowed:
                raise ConfigurationError(f"{section}.{name}: there is no such setting{_near(wrong, allowed)}.")


def forget_bare_variables() -> None:
    """Takes variables such as `TIMEZONE`, `USER_ID` or `ACCESS_TOKEN` out of this process's environment.

    dlt takes a setting from a variable of its bare name as well. A container's `TIMEZONE=UTC` would then shift every
    call, and another service's `ACCESS_TOKEN` would be sent to this one; nobody who set them meant that.
    """
    unmeant = (
        (KNOWN - {"credentials"}) | KNOWN_CREDENTIALS | KNOWN_NOTIFICATIONS | {"since", "until", "stop_after_rows"}
    )
    for name in unmeant:
        os.environ.pop(name.upper(), None)


def _configured_keys(section: str) -> Iterable[str]:
    prefix = section.upper().replace(".", "__") + "__"
    for variable in os.environ:
        if variable.startswith(prefix):
            yield variable[len(prefix) :].lower().replace("__", ".")
    for accessor in (dlt.config, dlt.secrets):
        for key, value in (accessor.get(section, dict) or {}).items():
            if key == "credentials" and isinstance(value, dict):
                yield from (f"credentials.{inner}" for inner in value)
            else:
                yield key


def _whole(key: str, value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ConfigurationError(f"{SECTION}.{key}: {value!r} is not a whole number from {least} to {most}.")
    return value


def _names(key: str, fields: FieldNames) -> Tuple[str, ...]:
    if fields is None:
        return ()
    listed = fields.strip("[] ").split(",") if isinstance(fields, str) else list(fields)
    names = tuple(str(name).strip(" \"'") for name in listed)
    if not all(names):
        raise ConfigurationError(f'{SECTION}.{key}: {fields!r} is not a list of names (or "all", for fields).')
    return names


def _user_ids(value: Any) -> Tuple[Union[int, str], ...]:
    names = _names("user_ids", str(value) if isinstance(value, int) else value or None)
    if names == (ALL_CLIENTS,):
        return names
    if not all(name.isdecimal() for name in names):
        raise ConfigurationError(f'{SECTION}.user_ids: {value!r} is neither a list of ids nor "all".')
    return tuple(dict.fromkeys(int(name) for name in names))


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
