"""Texts for people: without credentials in any spelling, and without what a terminal or a chat would carry out.

What the API, a destination or a proxy sends back can quote a request, and holds whatever its sender wants.
"""

import logging
import re
from base64 import b64encode
from collections.abc import Callable
from functools import lru_cache
from itertools import groupby
from typing import Any

MASK = "***"
MAX_CHARACTERS = 500
"""Characters of a text from outside that are shown."""
MAX_READ = 10_000
"""Characters of a text from outside that are looked at."""
MIN_CHARACTERS = 8
"""Shorter secrets are masked only in texts from outside: in this program's own, `error` would be masked everywhere."""
SPELLED_CHARACTERS = 30
"""Characters that a spelling of one character of a secret takes, hardly ever more."""
MAX_REPEATED = 8
"""Repeated backslashes, zeros and percent signs that are a part of a spelling: without a limit, a text of nothing else
would take hours."""

_SECRETS: set[str] = set()


def remember_secret(secret: str | None) -> None:
    """Remembers a secret of this process, so that no text shows it from now on."""
    if secret:
        _SECRETS.add(secret)


def forget_secrets() -> None:
    """Forgets all secrets: for tests."""
    _SECRETS.clear()


def mask(text: str, min_characters: int = MIN_CHARACTERS) -> str:
    """A text with every secret masked, also as hex or base64, or escaped as in JSON, a URL, HTML or Python.

    Args:
        text: the text.
        min_characters: shorter secrets are left.
    """
    return _mask(text, min_characters, lambda _: MASK)


def one_line(text: str) -> str:
    """A text with its control and invisible characters escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def printable(text: str) -> str:
    """A text from outside for a message: masked, in one line, its control and invisible characters escaped, cut."""
    masked = mask(_head(text), min_characters=1)
    if len(text) > len(_head(text)):
        masked = masked[: max(len(masked) - _longest_spelling(), 0)]  # it may end with a part of a secret
        return f"{one_line(masked[:MAX_CHARACTERS])}..."
    return one_line(masked if len(masked) <= MAX_CHARACTERS else f"{masked[:MAX_CHARACTERS]}...")


def excerpt(text: str, position: int, before: int, after: int) -> str:
    """A few characters of a text from outside around a position, for a message; masked before it is cut."""
    start = max(position - MAX_READ - _longest_spelling(), 0)
    part = text[start : position + MAX_READ + _longest_spelling()]
    masked = _mask(part, 1, lambda found: "*" * len(found[0]))  # of the same length, so that the position stays
    return one_line(masked[max(position - start - before, 0) : position - start + after])


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
    """Masks secrets in log records, tracebacks included."""

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


def _head(text: str) -> str:
    return text[: MAX_READ + _longest_spelling()]


def _longest_spelling() -> int:
    return max(map(len, _SECRETS), default=0) * SPELLED_CHARACTERS


def _mask(text: str, min_characters: int, masked: Callable[[re.Match[str]], str]) -> str:
    for secret in sorted(_SECRETS, key=len, reverse=True):
        if len(secret) >= min_characters:
            for spelling in _spellings(secret):
                text = spelling.sub(masked, text)
    return text


@lru_cache
def _spellings(secret: str) -> list[re.Pattern[str]]:
    """Patterns, each of which starts with a few possible characters: the search for such a one is fast."""
    runs = [(char, len(list(run))) for char, run in groupby(secret)]
    patterns = ["".join(_backslashes(n) if char == "\\" else _spellings_of(char) * n for char, n in runs)]
    if len(secret) >= MIN_CHARACTERS:
        content = secret.encode("utf-8", "surrogatepass")
        patterns.append("[ :-]?".join(f"{_digit(byte[0])}{_digit(byte[1])}" for byte in map("{:02x}".format, content)))
        patterns += [_base64(content, shift) for shift in range(3)]
    return [re.compile(pattern) for pattern in patterns]


def _spellings_of(char: str) -> str:
    code, content = ord(char), char.encode("utf-8", "surrogatepass")
    units = char.encode("utf-16-be", "surrogatepass").hex()
    slashes, more = rf"\\{{0,{MAX_REPEATED}}}+", f"{{0,{MAX_REPEATED}}}"
    escapes = [
        rf"\\{slashes}".join(f"u{units[start : start + 4]}" for start in range(0, len(units), 4)),
        rf"\\{slashes}".join(f"x{byte:02x}" for byte in content),
        rf"x{code:02x}(?![0-9a-f])",
        f"U{code:08x}",
    ]
    percent = "".join(f"%(?:25){more}{byte:02x}" for byte in content)[1:]
    return (
        rf"(?:{re.escape(char)}|\\{slashes}(?:{re.escape(char)}|(?i:{'|'.join(escapes)}))|%(?i:{percent})"
        rf"|&(?i:#0{more}{code};|#x0{more}{code:x};))"
    )


def _backslashes(count: int) -> str:
    """A run of backslashes, each of them doubled any number of times: one unit, or the search would take for ever."""
    zeros, percents = f"0{{0,{MAX_REPEATED}}}", f"(?:25){{0,{MAX_REPEATED}}}"
    entity = rf"&#(?:{zeros}92|[xX]{zeros}5[cC]);"
    return rf"(?:\\{{1,{MAX_REPEATED**2}}}+|%{percents}5[cC]|{entity}){{1,{count}}}+"


def _digit(digit: str) -> str:
    return digit if digit.isdigit() else f"[{digit}{digit.upper()}]"


def _base64(content: bytes, shift: int) -> str:
    """The base64 of a secret within a longer text, with so many bytes before it: what depends on the secret alone."""
    encoded = b64encode(bytes(shift) + content).decode()
    first, last = -(-shift * 8 // 6), (shift + len(content)) * 8 // 6
    spellings = {"+": r"(?:[+-]|%2[Bb])", "/": r"(?:[/_]|%2[Ff]|\\/)"}
    return "".join(spellings.get(char, char) for char in encoded[first:last])
