"""A failed run is notified, a successful one if configured, and a failing notifier hides neither."""

import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from dlt.common.configuration import resolve_configuration
from rich.console import Console

from comagic.cli import notifications
from comagic.cli.notifications import Notifier, notify_outcome
from comagic.sandbox import SandboxServer, Switches
from comagic.settings import NotificationSettings
from tests.support.accounts import access_to, recent_account
from tests.support.hook import TOKEN, Hook
from tests.support.hostile import HEAD, HostileServer, serve_bytes
from tests.support.processes import Command, Serve

ADVICE = "Give the user of this key the permission to call get.calls_report in your personal account."


def serve_forbidden(serve: Serve) -> SandboxServer:
    """Starts a sandbox whose calls the user may not read, so that a load fails."""
    return serve(recent_account(1), Switches(errors={"get.calls_report": "forbidden"}))


def test_failure_is_notified_with_its_message(serve: Serve, command: Command, hook: Hook) -> None:
    result = command(**access_to(serve_forbidden(serve)), NOTIFICATIONS__WEBHOOK_URL=hook.url)
    assert result.code == 1
    ((path, message),) = hook.messages
    assert TOKEN in path
    assert message["text"].startswith("CoMagic load failed. get.calls_report: ")
    assert ADVICE in message["text"]


def test_wrong_setting_is_notified(serve: Serve, command: Command, hook: Hook) -> None:
    environment = access_to(serve(), SOURCES__COMAGIC__LOOKBACK_DAYS="0")
    assert command(**environment, NOTIFICATIONS__WEBHOOK_URL=hook.url).code == 2
    ((_, message),) = hook.messages
    assert message["text"].startswith("CoMagic load failed. sources.comagic.lookback_days")


def test_success_is_notified_only_if_configured(serve: Serve, command: Command, hook: Hook) -> None:
    environment = access_to(serve(recent_account()))
    assert command(**environment, NOTIFICATIONS__WEBHOOK_URL=hook.url).code == 0
    assert hook.messages == []
    assert command(**environment, NOTIFICATIONS__WEBHOOK_URL=hook.url, NOTIFICATIONS__ON_SUCCESS="true").code == 0
    ((_, message),) = hook.messages
    assert message["text"].startswith("CoMagic load succeeded. calls: ")
    assert " rows, " in message["text"]


def test_early_stop_is_not_notified_as_a_failure(serve: Serve, command: Command, hook: Hook) -> None:
    sandbox = serve(recent_account(), Switches(day_limit=3))
    environment = {**access_to(sandbox), "NOTIFICATIONS__WEBHOOK_URL": hook.url}
    assert command(**environment).code == 75
    assert hook.messages == []
    assert command(**environment, NOTIFICATIONS__ON_SUCCESS="true").code == 75
    ((_, message),) = hook.messages
    assert message["text"].startswith("CoMagic load stopped early. ")


def test_interruption_is_not_notified_even_if_wrapped_by_dlt(hook: Hook) -> None:
    settings = resolve_configuration(
        NotificationSettings(), explicit_value={"webhook_url": hook.url, "on_success": True}
    )

    def notifying() -> AbstractContextManager[None]:
        return notify_outcome(Notifier(settings, None), str, list, Console())

    with pytest.raises(KeyboardInterrupt), notifying():
        raise KeyboardInterrupt
    with pytest.raises(RuntimeError), notifying():
        raise RuntimeError from KeyboardInterrupt()
    assert hook.messages == []
    with pytest.raises(RuntimeError), notifying():
        raise RuntimeError
    assert [message for _, message in hook.messages] == [{"text": "CoMagic load failed. RuntimeError"}]


def test_body_follows_the_configured_template(serve: Serve, command: Command, hook: Hook) -> None:
    template = {"chat_id": 7, "payload": {"summary": "{text}", "severity": ["{outcome}"], "source": "{pipeline}"}}
    result = command(
        **access_to(serve_forbidden(serve)),
        NOTIFICATIONS__WEBHOOK_URL=hook.url,
        NOTIFICATIONS__WEBHOOK_BODY=json.dumps(template),
    )
    assert result.code == 1
    ((_, message),) = hook.messages
    assert message["chat_id"] == 7
    assert message["payload"]["severity"] == ["failed"]
    assert message["payload"]["source"] == "comagic"
    assert "forbidden" in message["payload"]["summary"]


def test_settings_are_read_from_files(serve: Serve, command: Command, hook: Hook, place: Path) -> None:
    (place / ".dlt").mkdir()
    body = '[notifications.webhook_body]\nchat_id = 7\ntext = "{text}"\n'
    (place / ".dlt" / "secrets.toml").write_text(f'[notifications]\nwebhook_url = "{hook.url}"\n{body}')
    assert command(**access_to(serve_forbidden(serve))).code == 1
    ((_, message),) = hook.messages
    assert message["chat_id"] == 7
    assert ADVICE in message["text"]


def test_slack_is_notified_once_by_dlts_hook(serve: Serve, command: Command, hook: Hook) -> None:
    slack = {"RUNTIME__SLACK_INCOMING_HOOK": hook.url}
    assert command(**access_to(serve_forbidden(serve)), **slack).code == 1
    ((_, message),) = hook.messages
    assert "forbidden" in message["text"]
    assert command(**access_to(serve(recent_account())), **slack).code == 0
    assert len(hook.messages) == 1


@pytest.mark.parametrize("status", [404, 500])
def test_failing_notifier_hides_no_error_and_shows_no_secret(
    serve: Serve, command: Command, hook: Hook, status: int
) -> None:
    hook.status = status
    receivers = {"NOTIFICATIONS__WEBHOOK_URL": hook.url, "RUNTIME__SLACK_INCOMING_HOOK": hook.url}
    result = command(**access_to(serve_forbidden(serve)), **receivers, RUNTIME__LOG_LEVEL="DEBUG")
    assert result.code == 1
    assert ADVICE in result.err
    assert f"webhook (notifications.webhook_url) could not be notified: HTTP {status}" in result.err
    assert f"Slack (runtime.slack_incoming_hook) could not be notified: HTTP {status}" in result.err
    assert TOKEN not in result.err + result.out
    succeeding = {**access_to(serve(recent_account())), **receivers, "NOTIFICATIONS__ON_SUCCESS": "true"}
    assert command(**succeeding).code == 0


@pytest.mark.parametrize(("fast", "problem"), [(b"", "TimeoutError"), (HEAD + b"Content-Length: 999\r\n\r\n", "")])
def test_slow_receiver_is_not_waited_for(fast: bytes, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte at a time: of the headers, which are cut, or of the body, which nobody reads."""
    monkeypatch.setattr(notifications, "TIMEOUT", 0.25)

    def respond(server: HostileServer) -> Iterator[bytes]:
        yield fast
        yield from server.slowly(HEAD * 9)

    with serve_bytes(respond) as server:
        settings = resolve_configuration(NotificationSettings(), explicit_value={"webhook_url": server.base_url})
        warnings = Notifier(settings, server.base_url).send("failed", "text")
        assert len(warnings) == (2 if problem else 0)
        assert all(re.search(f"could not be notified: ({problem})", warning) for warning in warnings), warnings
        assert len(server.requests) == 2


def test_receiver_on_this_machine_is_reached_without_a_proxy(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    settings = resolve_configuration(NotificationSettings(), explicit_value={"webhook_url": hook.url})
    assert Notifier(settings, hook.url).send("failed", "text") == []
    assert [message["text"] for _, message in hook.messages] == ["text", "text"]


def test_unreachable_notifier_is_a_warning(serve: Serve, command: Command) -> None:
    result = command(**access_to(serve_forbidden(serve)), NOTIFICATIONS__WEBHOOK_URL=f"http://127.0.0.1:1/{TOKEN}")
    assert (result.code, "could not be notified" in result.err, TOKEN in result.err) == (1, True, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBHOOK_URL", "example.com/secret-path"),
        ("WEBHOOK_BODY", "{text}"),
        ("WEBHOOK_BODY", '["{text}"]'),
        ("WEBHOOK", "https://example.com"),
    ],
)
def test_wrong_setting_is_named_before_anything_is_loaded(
    serve: Serve, command: Command, name: str, value: str
) -> None:
    sandbox = serve()
    result = command(**access_to(sandbox), **{f"NOTIFICATIONS__{name}": value})
    assert (result.code, f"notifications.{name.lower()}" in result.err) == (2, True), result.err
    assert sandbox.requests == 0
    assert "secret-path" not in result.err
