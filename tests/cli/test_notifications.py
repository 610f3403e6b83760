"""A failure is told, a success if it is wanted, and a failing notifier hides neither."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from dlt.common.configuration import resolve_configuration
from rich.console import Console

from comagic.cli.notifications import Notifier, notify_outcome
from comagic.sandbox import SandboxServer, Switches
from comagic.settings import NotificationSettings
from tests.support.accounts import access_to, recent_account
from tests.support.processes import Command, Serve

TOKEN = "12345:very-secret"


class Hook:
    """A web server that takes messages."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Any]] = []
        self.status = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.messages.append((self.path, json.loads(body)))
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/bot{TOKEN}/sendMessage"


@pytest.fixture
def hook() -> Iterator[Hook]:
    one = Hook()
    thread = Thread(target=one.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield one
    one.server.shutdown()
    one.server.server_close()
    thread.join()


def failing(serve: Serve) -> SandboxServer:
    return serve(recent_account(1), Switches(errors={"get.calls_report": "forbidden"}))


def test_a_failure_is_told_in_the_sentence_that_a_person_would_read(serve: Serve, command: Command, hook: Hook) -> None:
    shown = command(**access_to(failing(serve)), NOTIFICATIONS__WEBHOOK_URL=hook.url)
    assert shown.code == 1
    ((path, message),) = hook.messages
    assert TOKEN in path
    assert message["text"].startswith("CoMagic load failed. get.calls_report")
    assert "Give the user of this key the right" in message["text"]


def test_a_wrong_setting_is_told_too(serve: Serve, command: Command, hook: Hook) -> None:
    access = access_to(serve(), SOURCES__COMAGIC__LOOKBACK_DAYS="0")
    assert command(**access, NOTIFICATIONS__WEBHOOK_URL=hook.url).code == 2
    ((_, message),) = hook.messages
    assert message["text"].startswith("CoMagic load failed. sources.comagic.lookback_days")


def test_a_success_is_told_only_if_wanted(serve: Serve, command: Command, hook: Hook) -> None:
    access = access_to(serve(recent_account()))
    assert command(**access, NOTIFICATIONS__WEBHOOK_URL=hook.url).code == 0
    assert hook.messages == []
    assert command(**access, NOTIFICATIONS__WEBHOOK_URL=hook.url, NOTIFICATIONS__ON_SUCCESS="true").code == 0
    ((_, message),) = hook.messages
    assert "succeeded" in message["text"]
    assert "rows" in message["text"]


def test_an_early_stop_is_no_failure(serve: Serve, command: Command, hook: Hook) -> None:
    sandbox = serve(recent_account(), Switches(day_limit=3))
    notified = {**access_to(sandbox), "NOTIFICATIONS__WEBHOOK_URL": hook.url}
    assert command(**notified).code == 75
    assert hook.messages == []
    assert command(**notified, NOTIFICATIONS__ON_SUCCESS="true").code == 75
    assert "stopped early" in hook.messages[0][1]["text"]


def test_an_interruption_is_somebodys_wish_however_dlt_wraps_it(hook: Hook) -> None:
    settings = resolve_configuration(
        NotificationSettings(), explicit_value={"webhook_url": hook.url, "on_success": True}
    )

    def notified() -> AbstractContextManager[None]:
        return notify_outcome(Notifier(settings, None), str, Console())

    with pytest.raises(KeyboardInterrupt), notified():
        raise KeyboardInterrupt
    with pytest.raises(RuntimeError), notified():
        raise RuntimeError from KeyboardInterrupt()
    assert hook.messages == []
    with pytest.raises(RuntimeError), notified():
        raise RuntimeError
    assert [message for _, message in hook.messages] == [{"text": "CoMagic load failed. RuntimeError"}]


def test_the_body_is_whatever_the_other_side_takes(serve: Serve, command: Command, hook: Hook) -> None:
    template = {"chat_id": 7, "payload": {"summary": "{text}", "severity": ["{outcome}"], "source": "{pipeline}"}}
    shown = command(
        **access_to(failing(serve)),
        NOTIFICATIONS__WEBHOOK_URL=hook.url,
        NOTIFICATIONS__WEBHOOK_BODY=json.dumps(template),
    )
    assert shown.code == 1
    ((_, message),) = hook.messages
    assert message["chat_id"] == 7
    assert message["payload"]["severity"] == ["failed"]
    assert message["payload"]["source"] == "comagic"
    assert "forbidden" in message["payload"]["summary"]


def test_settings_from_files(serve: Serve, command: Command, hook: Hook, place: Path) -> None:
    (place / ".dlt").mkdir()
    (place / ".dlt" / "config.toml").write_text('[notifications.webhook_body]\nchat_id = 7\ntext = "{text}"\n')
    (place / ".dlt" / "secrets.toml").write_text(f'[notifications]\nwebhook_url = "{hook.url}"\n')
    assert command(**access_to(failing(serve))).code == 1
    assert hook.messages[0][1]["chat_id"] == 7


def test_slack_is_told_by_dlts_hook_once(serve: Serve, command: Command, hook: Hook) -> None:
    slack = {"RUNTIME__SLACK_INCOMING_HOOK": hook.url}
    assert command(**access_to(failing(serve)), **slack).code == 1
    ((_, message),) = hook.messages
    assert "forbidden" in message["text"]
    assert command(**access_to(serve(recent_account())), **slack).code == 0
    assert len(hook.messages) == 1


@pytest.mark.parametrize("status", [404, 500])
def test_a_failing_notifier_hides_nothing_and_shows_no_secret(
    serve: Serve, command: Command, hook: Hook, status: int
) -> None:
    hook.status = status
    ways = {"NOTIFICATIONS__WEBHOOK_URL": hook.url, "RUNTIME__SLACK_INCOMING_HOOK": hook.url}
    shown = command(**access_to(failing(serve)), **ways, RUNTIME__LOG_LEVEL="DEBUG")
    assert shown.code == 1
    assert "the right to call get.calls_report" in shown.err
    assert f"webhook (notifications.webhook_url) could not be told: HTTP {status}" in shown.err
    assert f"Slack (runtime.slack_incoming_hook) could not be told: HTTP {status}" in shown.err
    assert TOKEN not in shown.err + shown.out
    good = {**access_to(serve(recent_account())), **ways, "NOTIFICATIONS__ON_SUCCESS": "true"}
    assert command(**good).code == 0


def test_a_notifier_that_cannot_be_reached(serve: Serve, command: Command) -> None:
    shown = command(**access_to(failing(serve)), NOTIFICATIONS__WEBHOOK_URL=f"http://127.0.0.1:1/{TOKEN}")
    assert (shown.code, "could not be told" in shown.err, TOKEN in shown.err) == (1, True, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBHOOK_URL", "example.com/secret-path"),
        ("WEBHOOK_BODY", "{text}"),
        ("WEBHOOK_BODY", '["{text}"]'),
        ("WEBHOOK", "https://example.com"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_is_loaded(
    serve: Serve, command: Command, name: str, value: str
) -> None:
    sandbox = serve()
    shown = command(**access_to(sandbox), **{f"NOTIFICATIONS__{name}": value})
    assert (shown.code, f"notifications.{name.lower()}" in shown.err) == (2, True), shown.err
    assert sandbox.requests == 0
    assert "secret-path" not in shown.err
