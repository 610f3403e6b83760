"""Credentials are shown nowhere, in no spelling, and texts from outside do nothing on a terminal or in a chat."""

import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from comagic.redaction import MaskingFilter, mask, printable, remember_secret
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
    assert hook.messages == []
