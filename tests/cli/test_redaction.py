"""Credentials are shown nowhere, in no spelling, and texts from outside do nothing on a terminal or in a chat."""

import json
import logging
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from comagic.redaction import (
    MASK,
    MAX_CHARACTERS,
    MAX_READ,
    MaskingFilter,
    excerpt,
    mask,
    printable,
    remember_secret,
)
from tests.support.hook import Hook
from tests.support.hostile import HostileServer, response, serve_bytes
from tests.support.processes import Command

SECRET = "s3cr-ET/key+9"
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": lambda secret: "".join(f"\\u{ord(char):04X}" for char in secret),
    "some of it as JSON": lambda secret: secret.replace("r", "\\u0072").replace("/", "\\/"),
    "URL": lambda secret: quote(secret, safe=""),
    "whole URL": lambda secret: "".join(f"%{ord(char):02x}" for char in secret),
    "URL twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "HTML": lambda secret: "".join(f"&#x{ord(char):X};" for char in secret),
    "Python": lambda secret: "".join(f"\\x{ord(char):02x}" for char in secret),
    "hex": lambda secret: secret.encode().hex(),
    "hex dump": lambda secret: secret.encode().hex(" ").upper(),
}


def environment(server: HostileServer, hook: Hook, secret: str = SECRET) -> dict[str, str]:
    return {
        "SOURCES__COMAGIC__CREDENTIALS__LOGIN": "someone",
        "SOURCES__COMAGIC__CREDENTIALS__PASSWORD": secret,
        "SOURCES__COMAGIC__BASE_URL": server.base_url,
        "NOTIFICATIONS__WEBHOOK_URL": hook.url,
    }


def error(message: str, **data: Any) -> bytes:
    details = {"mnemonic": "auth_error", **data}
    return json.dumps(
        {"jsonrpc": "2.0", "id": 1, "error": {"code": -32001, "message": message, "data": details}}
    ).encode()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_secret_is_masked_in_every_spelling(spelling: str) -> None:
    remember_secret(SECRET)
    text = f"before {SPELLINGS[spelling](SECRET)} after"
    assert mask(text) == printable(text) == "before *** after"


@pytest.mark.parametrize("before", ["", "x", "xx", "login:"])
@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
def test_secret_is_masked_in_base64_at_any_place(before: str, encode: Callable[[bytes], bytes]) -> None:
    remember_secret(SECRET)
    text = encode(f"{before}{SECRET}?>tail".encode()).decode()
    assert MASK in mask(text)
    assert len(mask(text)) <= len(text) - len(SECRET)


def test_secret_is_masked_before_a_text_is_cut() -> None:
    remember_secret(SECRET)
    for spell in SPELLINGS.values():
        for start in (*range(MAX_CHARACTERS - 30, MAX_CHARACTERS), *range(MAX_READ, MAX_READ + 1000, 7)):
            text = "-" * start + spell(SECRET) + "-" * 20_000
            assert set(printable(text)) <= set("-*.")
    cyrillic = "пароль-Секрет"
    remember_secret(cyrillic)
    assert printable(repr(cyrillic.encode())) == "b'***'"
    assert "ароль" not in excerpt(f"x{cyrillic}", 1, 1, 5)


@pytest.mark.parametrize("text", ["\\" * 300_000, "%25" * 100_000, "&#0" * 100_000, "s3cr-" * 60_000, "\\u0" * 90_000])
def test_text_of_any_length_is_masked_at_once(text: str) -> None:
    for secret in (SECRET, "\\\\back\\slashes\\\\", "%25%25%"):
        remember_secret(secret)
    assert len(printable(text)) < 3 * MAX_CHARACTERS
    assert mask(text) == text


def test_echoed_password_is_neither_printed_nor_posted(command: Command, hook: Hook) -> None:
    echoes = " ".join(spell(SECRET) for spell in SPELLINGS.values())
    body = error(f"Wrong {echoes}", params={"p": [echoes]}, field="password", value=SECRET)
    with serve_bytes(lambda _: [response(body)]) as server:
        result = command(**environment(server, hook))
        assert SECRET in server.requests[0].decode()
    ((_, posted),) = hook.messages
    assert result.code == 1
    for text in (result.out, result.err, posted["text"]):
        assert all(spell(SECRET) not in text for spell in SPELLINGS.values()), text
    assert "Wrong *** ***" in result.err


def test_password_that_is_a_word_does_not_hide_the_error(command: Command, hook: Hook) -> None:
    with serve_bytes(lambda _: [response(error("An error in error"))]) as server:
        result = command(**environment(server, hook, "error"))
    assert (result.code, "Error: login.user: An *** in *** (auth_error)" in result.err) == (1, True), result.err


def test_text_of_the_api_is_one_line_without_codes_and_mentions(command: Command, hook: Hook) -> None:
    message = "\x1b[31mred\x07\r\n[ERROR] forged <!channel> @all \u202e" + "x" * 3000
    with serve_bytes(lambda _: [response(error(message))]) as server:
        result = command(**environment(server, hook))
    ((_, posted),) = hook.messages
    (line,) = [line for line in result.err.splitlines() if "red" in line]
    assert "\\x1b[31mred\\x07\\r\\n[ERROR] forged" in line
    assert not {"\x1b", "\x07", "\u202e"} & set(line + posted["text"])
    assert len(line) < 1000
    assert not {"<", "@"} & set(posted["text"])


def test_log_is_masked_with_its_tracebacks() -> None:
    remember_secret(SECRET)
    record = logging.LogRecord("dlt", logging.ERROR, __file__, 1, "with %s", (SECRET,), None)
    try:
        raise ValueError(SECRET)
    except ValueError as raised:
        record.exc_info = (ValueError, raised, raised.__traceback__)
    assert MaskingFilter().filter(record)
    assert SECRET not in logging.Formatter().format(record)


def test_webhook_neither_sends_in_the_clear_nor_follows(command: Command, hook: Hook) -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: " + hook.url.encode() + b"\r\nContent-Length: 0\r\n\r\n"
    with serve_bytes(lambda _: [response(error("Wrong"))]) as server, serve_bytes(lambda _: [redirect]) as other:
        settings = environment(server, hook)
        result = command(**settings | {"NOTIFICATIONS__WEBHOOK_URL": other.base_url})
        assert (result.code, "could not be notified: HTTP 302" in result.err) == (1, True), result.err
        result = command(**settings | {"NOTIFICATIONS__WEBHOOK_URL": "http://example.com/hunter22"})
        assert (result.code, "webhook_url would send its secret unencrypted" in result.err) == (2, True), result.err
        assert "hunter22" not in result.err
        result = command(**settings, RUNTIME__SLACK_INCOMING_HOOK="http://example.com/hunter22")
        assert (result.code, "runtime.slack_incoming_hook would send" in result.err) == (2, True), result.err
        result = command(**settings | {"NOTIFICATIONS__WEBHOOK_URL": ""}, RUNTIME__SLACK_INCOMING_HOOK=other.base_url)
        assert (result.code, "Slack (runtime.slack_incoming_hook) could not be notified: HTTP 302" in result.err)[1]
    assert hook.messages == []
