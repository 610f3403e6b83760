"""Parses and checks the values of settings and options; an error names the one that is wrong."""

import difflib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import pendulum
from dlt.common.json import json
from pendulum.tz.exceptions import InvalidTimezone

from .api.brands import is_loopback
from .catalog import dictionaries, reports, resources
from .exceptions import ConfigurationError
from .redaction import printable

DAY_FORM = "%Y-%m-%d"
LANGUAGES = ("en", "ru")
"""Languages of the report."""
ALL_CLIENTS = "all"
"""The value of `user_ids` that means each client of the agency."""
TEXT_ONLY = '{"text": "{text}"}'
"""The default body of a webhook: what Slack, Mattermost, Rocket.Chat and Google Chat take."""
MAX_MINUTES = 100_000
"""Longest time limit that is accepted: some ten weeks."""

MIN_KEY_BITS = 128
"""Random bits of the key of pseudonyms, at least."""

Check = Callable[[str, Any], Any]
"""Takes a setting's full name and its value, returns the value to use, or raises ConfigurationError."""


def parse_optional_local_time(name: str, value: Any) -> datetime | None:
    """Reads a local time; None for an empty text.

    Raises:
        ConfigurationError: it is none.
    """
    return parse_local_time(name, value) if value else None


def parse_local_time(name: str, value: Any) -> datetime:
    """Reads a local time: `YYYY-MM-DD` (midnight) or `YYYY-MM-DD HH:MM:SS`, text or a TOML date.

    Args:
        name: the setting or option to name in an error.
        value: the value.

    Raises:
        ConfigurationError: it is not such a date, or has a time zone (times are in the account's).
    """
    return _parse_day_or_time(name, value)[0]


def parse_end(name: str, value: Any) -> datetime:
    """Reads the local time before which a period ends: a day is included, a time is not.

    Args:
        name: the setting or option to name in an error.
        value: the value; see `parse_local_time`.

    Raises:
        ConfigurationError: see `parse_local_time`.
    """
    parsed, is_day = _parse_day_or_time(name, value)
    return parsed + timedelta(days=1) if is_day else parsed


def parse_day(name: str, value: Any) -> date:
    """Reads a day.

    Raises:
        ConfigurationError: it is not one.
    """
    parsed, is_day = _parse_day_or_time(name, value)
    if not is_day:
        raise ConfigurationError(f"{name}: {str(value)!r} is not a day; write YYYY-MM-DD.")
    return parsed.date()


def _parse_day_or_time(name: str, value: Any) -> tuple[datetime, bool]:
    parsed, is_day = None, False
    if isinstance(value, date):
        parsed = datetime(*value.timetuple()[:6]) if getattr(value, "tzinfo", None) is None else None
        is_day = not isinstance(value, datetime)
    else:
        for form in (DAY_FORM, "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"):
            try:
                parsed, is_day = datetime.strptime(str(value).strip(), form), form == DAY_FORM
                break
            except ValueError:
                continue
    if parsed is None or not 2000 <= parsed.year <= 2100:
        raise ConfigurationError(
            f"{name}: {str(value)!r} is not a date; write YYYY-MM-DD or YYYY-MM-DD HH:MM:SS, "
            "in the account's time zone."
        )
    return parsed, is_day


def parse_minutes(name: str, value: Any) -> float:
    """Reads a positive number of minutes.

    Raises:
        ConfigurationError: it is not one.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value <= MAX_MINUTES:
        raise ConfigurationError(f"{name}: {value!r} is not a number of minutes above 0.")
    return float(value)


def parse_time_zone(name: str, value: str) -> tzinfo:
    """Reads the IANA name of a time zone.

    Raises:
        ConfigurationError: there is no such zone.
    """
    try:
        return pendulum.timezone(value)
    except (InvalidTimezone, ValueError, OSError):
        shown = printable(repr(value))
        raise ConfigurationError(f"{name}: {shown} is not a time zone; write a name such as Europe/Moscow.") from None


def resolve_resources(name: str, names: Iterable[str]) -> list[str]:
    """Names of resources, each once, with the groups `reports`, `dictionaries` and `all` expanded.

    What has to be asked for by name (`Report.is_opt_in`) is in no group.

    Args:
        name: the setting or option to name in an error.
        names: the names.

    Raises:
        ConfigurationError: a name is neither a resource nor a group.
    """
    groups = {
        group: [one.name for one in members.values() if not one.is_opt_in]
        for group, members in (("reports", reports()), ("dictionaries", dictionaries()), ("all", resources()))
    }
    found: list[str] = []
    for wanted in names:
        if wanted not in resources() and wanted not in groups:
            raise ConfigurationError(
                f"{name}: there is no resource {wanted!r}{did_you_mean(wanted, [*resources(), *groups])}; "
                f"there are: {', '.join(resources())}, and the groups {', '.join(groups)}."
            )
        found += groups.get(wanted, [wanted])
    return list(dict.fromkeys(found))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that is closest to a wrong one; empty if none is close."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def whole_number(least: int, most: int) -> Check:
    """Returns a check for whole numbers within bounds, both included."""

    def check(name: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ConfigurationError(f"{name}: {value!r} is not a whole number from {least} to {most}.")
        return value

    return check


def parse_language(name: str, value: Any) -> str:
    """Reads `en` or `ru`.

    In your own code dlt also takes the setting from the variable LANGUAGE, which belongs to gettext: no mistake.

    Raises:
        ConfigurationError: it is another language.
    """
    if value in LANGUAGES:
        return str(value)
    if value == os.environ.get("LANGUAGE"):
        return LANGUAGES[0]
    raise ConfigurationError(f"{name}: {value!r} is not {' or '.join(LANGUAGES)}.")


def optional(check: Check) -> Check:
    """Returns a check that leaves None alone."""
    return lambda name, value: None if value is None else check(name, value)


def parse_names(name: str, value: Any) -> tuple[str, ...]:
    """Reads names from a TOML list, or from text with commas, as in the environment.

    Raises:
        ConfigurationError: a name is empty.
    """
    listed = value.strip("[] ").split(",") if isinstance(value, str) else list(value)
    names = tuple(str(item).strip(" \"'") for item in listed)
    if not all(names):
        raise ConfigurationError(f'{name}: {value!r} is not a list of names (or "all", for fields).')
    return names


def parse_resources(name: str, value: Any) -> tuple[str, ...]:
    """Reads names of resources and groups; see `resolve_resources`."""
    return tuple(resolve_resources(name, parse_names(name, value)))


def parse_optional_time_zone(name: str, value: Any) -> tzinfo | None:
    """Reads the IANA name of a time zone; None if there is none."""
    return parse_time_zone(name, value) if value else None


def parse_pseudonym_key(name: str, value: Any) -> str | None:
    """Checks the key of pseudonyms: random bits as hex or base64. It is used as it is written, not decoded.

    Ten thousand million phone numbers are tried in minutes, so a key that somebody thought of protects nobody. Words,
    repetitions and sequences are recognized; whether a key is random cannot be told.

    Raises:
        ConfigurationError: it has less than 128 bits, or is neither hex nor base64, or is hardly random; it is not
            shown.
    """
    if value is None:
        return None
    key = str(value)
    if not _can_be_random(key):
        raise ConfigurationError(
            f"{name}: a key needs {MIN_KEY_BITS} random bits at least, written as hex or base64. Make one with: "
            "comagic_pipeline.py make-key. Pseudonyms that were made with another key do not match the new ones."
        )
    return key


def _can_be_random(key: str) -> bool:
    """True for a text that 128 random bits in hex or base64 are likely to be."""
    kinds: tuple[str, ...]
    if re.fullmatch("[0-9a-fA-F]{32,}", key):
        digits, kinds, least = [int(digit, 16) for digit in key], ("[0-9]", "[a-fA-F]"), 8
    elif re.fullmatch("[0-9a-zA-Z+/_-]{22,}={0,2}", key):
        digits, kinds, least = [ord(digit) for digit in key.rstrip("=")], ("[0-9]", "[a-z]", "[A-Z]"), 12
    else:
        return False
    pairs = [high * 256 + low for high, low in zip(digits[::2], digits[1::2], strict=False)]
    is_sequence = any(_is_sequence(numbers) for numbers in (digits, pairs))
    is_repeated = (key + key).find(key, 1) < len(key)
    has_all = all(re.search(kind, key) for kind in kinds) and len(set(digits)) >= least
    return has_all and not is_sequence and not is_repeated


def _is_sequence(numbers: Sequence[int]) -> bool:
    """True if half of the steps from one number to the next are the same."""
    steps = Counter(right - left for left, right in pairwise(numbers))
    return max(steps.values()) * 2 >= len(numbers) - 1


def parse_user_ids(name: str, value: Any) -> tuple[int | str, ...]:
    """Reads ids of an agency's clients: a list, text with commas, or `all`.

    Raises:
        ConfigurationError: it is none of these.
    """
    names = parse_names(name, str(value) if isinstance(value, int) else value) if value else ()
    if names == (ALL_CLIENTS,):
        return names
    if not all(item.isdecimal() for item in names):
        raise ConfigurationError(f'{name}: {value!r} is neither a list of ids nor "all".')
    return tuple(dict.fromkeys(int(item) for item in names))


def parse_webhook_url(name: str, value: Any) -> str | None:
    """Checks a webhook's URL.

    Raises:
        ConfigurationError: it is not an https URL (http is accepted for this machine); it is not shown, since it may
            contain a secret.
    """
    if value:
        try:
            parts = urlsplit(value)
        except ValueError:
            raise ConfigurationError(f"{name} is not a URL such as https://example.com/hook") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(f"{name} is not a URL such as https://example.com/hook")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ConfigurationError(f"{name} would send its secret unencrypted; use https.")
    return value or None


def parse_webhook_body(name: str, value: Any) -> dict[str, Any]:
    """Reads a webhook's body: a table, or the text of a JSON object.

    Raises:
        ConfigurationError: it is neither.
    """
    body = value
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            raise ConfigurationError(f"{name} is not JSON.") from None
    if not isinstance(body, dict):
        raise ConfigurationError(f"{name} is not a JSON object.")
    return body
