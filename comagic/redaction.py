"""Texts for people: without credentials in any spelling, and without what a terminal or a chat would carry out.

What the API, a destination or a proxy sends back can quote a request, and holds whatever its sender wants.
"""

import logging
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

MASK = "***"
MAX_CHARACTERS = 500
"""Characters of a text from outside that are shown."""
MIN_CHARACTERS = 8
"""Shorter secrets are masked only in texts from outside: in this program's own, `error` would be masked everywhere."""

_SECRETS: set[str] = set()


def remember_secret(secret: str | None) -> None:
    """Remembers a secret of this process, so that no text shows it from now on."""
    if secret:
        _SECRETS.add(secret)


def forget_secrets() -> None:
    """Forgets all secrets: for tests."""
    _SECRETS.clear()


def mask(text: str, min_characters: int = MIN_CHARACTERS) -> str:
    """A text with every secret masked, also where some characters are escaped as in JSON, a URL or HTML.

    Args:
        text: the text.
        min_characters: shorter secrets are left.
    """
    for secret in sorted(_SECRETS, key=len, reverse=True):
        if len(secret) >= min_characters:
            text = _spellings(secret).sub(MASK, text)
    return text


def printable(text: str) -> str:
    """A text from outside for a message: masked, in one line, its control and invisible characters escaped, cut."""
    masked = mask(text, min_characters=1)
    shown = masked if len(masked) <= MAX_CHARACTERS else f"{masked[:MAX_CHARACTERS]}..."
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown)


def map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with all its texts changed, names included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [map_texts(item, change) for item in value]
    if isinstance(value, dict):
        return {change(name): map_texts(item, change) for name, item in value.items()}
    return value


class MaskingFilter(logging.Filter):
    """Masks secrets in log records, tracebacks included, and keeps each message in one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Changes the record; keeps every one."""
        record.msg, record.args = mask(record.getMessage()), ()
        if record.exc_info:
            record.exc_text, record.exc_info = mask(logging.Formatter().formatException(record.exc_info)), None
        return True


def mask_logs() -> None:
    """Masks secrets in dlt's log, to which this package writes, too."""
    logger = logging.getLogger("dlt")
    if not any(isinstance(known, MaskingFilter) for known in logger.filters):
        logger.addFilter(MaskingFilter())


@lru_cache
def _spellings(secret: str) -> re.Pattern[str]:
    return re.compile("".join(_spellings_of(char) for char in secret))


def _spellings_of(char: str) -> str:
    code = ord(char)
    units = char.encode("utf-16-be", "surrogatepass").hex()
    escaped = "".join(rf"\\+u{units[start : start + 4]}" for start in range(0, len(units), 4))
    percent = "".join(f"%(?:25)*{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
    entity = rf"&#0*{code};|&#x0*{code:x};"
    return rf"(?:\\*{re.escape(char)}|(?i:{escaped}|{percent}|{entity}))"
