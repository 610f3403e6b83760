"""Every setting of this project, declared once: type, default, meaning, check.

Each has one home: a key under `[sources.comagic]` (or `[notifications]`) in `.dlt/config.toml` or `.dlt/secrets.toml`,
or the environment variable of the same name (`SOURCES__COMAGIC__START_DATE`). dlt reads them into the specs below. The
known names, the reference page docs/settings.md and the error messages are derived from the declarations.
"""

import os
from collections.abc import Iterator
from dataclasses import Field, field, fields
from typing import Any, ClassVar, TypeVar, cast

import dlt
from dlt.common.configuration import configspec, is_secret_hint, resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.typing import TSecretStrValue, TSecretValue

from .api.brands import BASE_URL, BRANDS
from .api.credentials import KeyCredentials, LoginCredentials
from .catalog import reports
from .exceptions import ConfigurationError
from .redaction import remember_secret
from .values import (
    TEXT_ONLY,
    Check,
    did_you_mean,
    optional,
    parse_language,
    parse_local_time,
    parse_minutes,
    parse_names,
    parse_optional_local_time,
    parse_optional_time_zone,
    parse_pseudonym_key,
    parse_resources,
    parse_user_ids,
    parse_webhook_body,
    parse_webhook_url,
    whole_number,
)

SOURCE_SECTION = "sources.comagic"
NOTIFICATIONS_SECTION = "notifications"

RENAMED: dict[str, str] = {}
"""New names of settings by old ones, both with their section, such as `sources.comagic.fields`. The old name is an
error that gives the new one. Remove an entry one minor version after it was added."""

Spec = TypeVar("Spec", bound=BaseConfiguration)


def _setting(default: Any, meaning: str, check: Check | None = None, shown: str | None = None) -> Any:
    """Declares a setting.

    Args:
        default: its default.
        meaning: one line for the reference page.
        check: checks and converts the configured value.
        shown: the default as the reference page shows it, where that is not the value itself.
    """
    return field(default=default, metadata={"meaning": meaning, "check": check, "shown": shown})


@configspec
class _Checked(BaseConfiguration):
    """A spec whose values are checked by their declarations once dlt has resolved them."""

    __section_of_names__: ClassVar[str] = ""

    def on_resolved(self) -> None:
        """Checks the values; called by dlt.

        Raises:
            ConfigurationError: a value is wrong; the text begins with the setting's full name.
        """
        for declared in fields(self):
            value, hint = getattr(self, declared.name), cast(Any, declared.type)
            if isinstance(value, str) and declared.default is None and is_secret_hint(hint):
                remember_secret(value)
            if check := declared.metadata.get("check"):
                name = f"{self.__section_of_names__}.{declared.name}"
                setattr(self, declared.name, check(name, getattr(self, declared.name)))


@configspec
class ConnectionSettings(BaseConfiguration):
    """How to reach the API."""

    credentials: KeyCredentials | LoginCredentials = None  # type: ignore[assignment]  # dlt's way: it is required
    base_url: str = _setting(
        BASE_URL, f"Endpoint of your brand: {', '.join(f'{brand} `{url}`' for brand, url in BRANDS.items())}"
    )


@configspec
class Settings(_Checked):
    """What to load."""

    __section_of_names__: ClassVar[str] = SOURCE_SECTION

    start_date: Any = _setting(
        "2024-01-01",
        "Start of the first load, `YYYY-MM-DD` or `YYYY-MM-DD HH:MM:SS`, in the account's time zone",
        parse_local_time,
    )
    day_start_date: Any = _setting(
        "",
        "Start of the first load of the reports that take a request for each day: costs, coverage, employees' statuses",
        parse_optional_local_time,
        "start_date",
    )
    day_requests: int = _setting(
        60,
        "Requests that a run spends on each of these reports, a twentieth of the day's quota at most; the next runs go "
        "on",
        whole_number(1, 100_000),
    )
    reread_uploaded_days: bool = _setting(
        True,
        "Read the days again into which calls were uploaded, beyond the lookback; with the resource uploaded_calls",
    )
    transcript_requests: int = _setting(
        200,
        "Calls that a run asks about for call_phrases, a request each, a twentieth of the day's quota at most",
        whole_number(1, 100_000),
    )
    transcript_days: int = _setting(
        14, "Days back from the present in which call_phrases looks for calls, the newest first", whole_number(1, 3650)
    )
    transcript_min_seconds: int = _setting(
        30, "Talk time from which call_phrases asks about a call", whole_number(0, 86_400)
    )
    transcript_retry_days: int = _setting(
        3, "Days after which call_phrases asks again about a call that had no text", whole_number(0, 3650)
    )
    lookback_days: int = _setting(
        14,
        "Whole days before the last run that each run reads again, 1 to 3650: tags, sales and ratings change after a "
        "call, and the API does not say which",
        whole_number(1, 3650),
    )
    window_days: int = _setting(7, "Days per query, 1 to 90", whole_number(1, 90))
    timezone: Any = _setting(
        "", "Time zone of the account's times, such as `Europe/Moscow`", parse_optional_time_zone, "the account's"
    )
    fields: Any = _setting(
        (),
        "Fields of calls: `all` for 105, or a list of names; `id` and `start_time` are always loaded",
        parse_names,
        f"{len(reports()['calls'].selected)} fields",
    )
    resources: Any = _setting(
        "calls",
        "What to load: names of reports and dictionaries, or the groups `reports`, `dictionaries`, `all`; "
        "`--resource` overrides it",
        parse_resources,
    )
    optional_resources: Any = _setting(
        (),
        "Resources that may be unavailable to the account: a missing permission or component is reported and is not "
        "an error; always those that need a component of their own, or that the brand does not have",
        parse_resources,
    )
    exclude_fields: Any = _setting(
        (),
        "Fields that are not loaded: `field`, `list.field`, or `resource/field` for one resource; see [Personal "
        "data](operations.md#personal-data)",
        parse_names,
    )
    pseudonymize_fields: Any = _setting(
        (), "Text fields whose values are replaced by pseudonyms, named in the same way", parse_names
    )
    pseudonym_key: TSecretStrValue | None = _setting(
        None,
        "Secret key of the pseudonyms, at least 128 random bits as hex or base64 (`comagic_pipeline.py make-key`); "
        "always the same one",
        parse_pseudonym_key,
    )
    user_id: int | None = _setting(None, "One client of your agency; only for agency logins")
    user_ids: Any = _setting(
        (),
        "Several clients of your agency side by side: a list of ids, or `all`; see [Agencies](operations.md#agencies)",
        parse_user_ids,
    )
    concurrency: int = _setting(
        4,
        "Requests in flight at once, 1 to 10, while what was read before is loaded; only as long as a quarter of the "
        "minute's quota is left. With 1, one request follows another",
        whole_number(1, 10),
    )
    load_package_rows: int | None = _setting(
        None,
        "Rows after which a load package is committed, at the next finished window; a window with more is split. 0 for "
        "one package",
        optional(whole_number(0, 10_000_000)),
        "200,000 in BigQuery and where two processes normalize, else 50,000",
    )
    max_minutes: float | None = _setting(
        None, "Time limit of a run in minutes; `--max-minutes` overrides it", optional(parse_minutes)
    )
    skip_unchanged_rows: bool = _setting(
        True,
        "Do not write rows that are the same in the destination. `false` also repairs rows that something else changed "
        "there; so does a load with `--since`",
    )
    views: bool = _setting(
        False, "Create the views, or create them again with the columns that the tables have by now, after each load"
    )
    abandoned_after_seconds: int = _setting(
        15,
        "In the views: a missed call whose caller waited less than so many seconds is abandoned",
        whole_number(0, 3600),
    )
    attribution_days: int = _setting(
        180, "In the view `attribution`: days before a call in which a site visit counts", whole_number(1, 3650)
    )
    report: str | None = _setting(
        None,
        "Where each nightly load writes the report: a file, or an address such as `gs://bucket/report.html`; see "
        "[Dashboards](dashboards.md#the-report)",
    )
    language: Any = _setting(
        "en", "Language of the report and the digest, `en` or `ru`; `--language` overrides it", parse_language
    )
    trusted_hosts: Any = _setting(
        (), "Hosts other than the brands' that may get the credentials: a proxy of your own, for example", parse_names
    )
    max_new_columns: int = _setting(
        100,
        "New columns of a table in one load, at most: a key that the API sends and the catalog does not have becomes a "
        "column; with more, the resource stops, and what came before stays",
        whole_number(0, 1000),
    )
    maximum_bytes_billed: int | None = _setting(
        None,
        "Bytes that one query in BigQuery may bill; BigQuery refuses a dearer one before it runs",
        optional(whole_number(10 * 2**20, 2**60)),
    )
    partition_expiration_days: int | None = _setting(
        None,
        "Days after which BigQuery drops a day of calls; applied when the table is created",
        optional(whole_number(1, 36_500)),
    )

    def on_resolved(self) -> None:
        """Checks that settings do not exclude each other; called by dlt.

        Raises:
            ConfigurationError: they do.
        """
        if self.user_ids and self.user_id is not None:
            raise ConfigurationError(f"{SOURCE_SECTION}.user_ids: user_id is set, too; set only one of them.")


@configspec
class NotificationSettings(_Checked):
    """Whom to notify about a run."""

    __section_of_names__: ClassVar[str] = NOTIFICATIONS_SECTION

    webhook_url: TSecretStrValue | None = _setting(
        None, "Where to POST that a run failed; it may contain a secret, so it is never shown", parse_webhook_url
    )
    webhook_body: TSecretValue = _setting(
        TEXT_ONLY,
        "JSON to POST: a table, or the text of an object; `{text}`, `{outcome}` (failed, stopped early, succeeded with "
        "warnings, succeeded, digest) and "
        "`{pipeline}` are replaced. In secrets.toml, since some receivers want a key in it",
        parse_webhook_body,
    )
    on_success: bool = _setting(False, "Notify about runs that did not fail, too")
    digest: bool = _setting(
        False,
        "After a nightly load, send yesterday's calls, missed and not recovered ones, compared with the same weekday",
    )


def resolve_settings(**explicit: Any) -> Settings:
    """Resolves and checks the settings of the source; explicit values override the configured ones.

    Raises:
        ConfigurationError: a setting is unknown or wrong; the text begins with its full name.
    """
    reject_unknown_settings()
    return _resolved(Settings(), SOURCE_SECTION, explicit)


def resolve_connection(**explicit: Any) -> ConnectionSettings:
    """Resolves how to reach the API; explicit values override the configured ones.

    Raises:
        ConfigFieldMissingException: no credentials are configured.
    """
    return _resolved(ConnectionSettings(), SOURCE_SECTION, explicit)


def configured_base_url() -> str:
    """Returns the configured endpoint, also where there are no credentials to connect to it."""
    configured: Any = dlt.config.get(f"{SOURCE_SECTION}.base_url")
    return str(configured or BASE_URL)


def resolve_notifications() -> NotificationSettings:
    """Resolves whom to notify.

    Raises:
        ConfigurationError: a setting is wrong; a secret value is not shown.
    """
    return _resolved(NotificationSettings(), NOTIFICATIONS_SECTION)


def _resolved(spec: Spec, section: str, explicit: dict[str, Any] | None = None) -> Spec:
    return resolve_configuration(spec, sections=tuple(section.split(".")), explicit_value=explicit or None)


def declared_settings(*specs: type[BaseConfiguration]) -> dict[str, "Field[Any]"]:
    """The declarations of specs by name, in their order."""
    return {name: spec.__dataclass_fields__[name] for spec in specs for name in spec.get_resolvable_fields()}


KNOWN = frozenset(declared_settings(ConnectionSettings, Settings))
KNOWN_CREDENTIALS = frozenset(declared_settings(KeyCredentials, LoginCredentials))
KNOWN_NOTIFICATIONS = frozenset(declared_settings(NotificationSettings))


def reject_unknown_settings() -> None:
    """Checks every key of this project's sections, in dlt's files and in the environment, against the known ones.

    Raises:
        ConfigurationError: a key is not known, or has another name now; dlt itself would ignore it silently.
    """
    for section, known in ((SOURCE_SECTION, KNOWN), (NOTIFICATIONS_SECTION, KNOWN_NOTIFICATIONS)):
        for name in _configured_keys(section):
            if new := RENAMED.get(f"{section}.{name}"):
                raise ConfigurationError(f"{section}.{name} is called {new} now.")
            key, _, rest = name.partition(".")
            allowed, wrong = (KNOWN_CREDENTIALS, rest) if key == "credentials" and rest else (known, key)
            if wrong not in allowed:
                raise ConfigurationError(f"{section}.{name}: there is no such setting{did_you_mean(wrong, allowed)}.")


def ignore_bare_variables() -> None:
    """Removes variables such as `TIMEZONE`, `USER_ID` or `ACCESS_TOKEN` from this process's environment.

    dlt takes a setting from a variable of its bare name as well. A container's `TIMEZONE=UTC` would then shift every
    call, and another service's `ACCESS_TOKEN` would be sent to this one; nobody who set them meant that.
    """
    for name in (KNOWN - {"credentials"}) | KNOWN_CREDENTIALS | KNOWN_NOTIFICATIONS | {"since", "until"}:
        os.environ.pop(name.upper(), None)


def _configured_keys(section: str) -> Iterator[str]:
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
