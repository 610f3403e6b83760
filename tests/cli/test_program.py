"""The program as an installed command: its name in messages, its version, dlt's settings in a folder without any."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dlt
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs import PluggableRunContext

from comagic import __version__
from comagic.cli import renamed
from comagic.cli.defaults import DEFAULTS, apply_defaults
from comagic.settings import RENAMED
from tests.support.accounts import access_to, recent_account
from tests.support.processes import ROOT, Command, Serve


def test_version_is_printed(command: Command) -> None:
    result = command("--version")
    assert (result.code, f"dlt-source-comagic {__version__} (dlt {dlt.__version__}" in result.out) == (0, True)


@pytest.mark.parametrize(
    ("started", "wanted"),
    [
        ("/usr/bin/comagic-pipeline", "account: comagic-pipeline --demo"),
        ("comagic_pipeline.py", "comagic_pipeline.py --demo"),
    ],
)
def test_messages_name_the_command_that_was_started(
    monkeypatch: pytest.MonkeyPatch, place: Path, capsys: pytest.CaptureFixture[str], started: str, wanted: str
) -> None:
    import comagic_pipeline

    monkeypatch.setattr("sys.argv", [started, "check"])
    with pytest.raises(SystemExit) as stop:
        comagic_pipeline.run()
    message = capsys.readouterr().err.replace("\n", " ")
    assert (stop.value.code, wanted in message) == (2, True), message
    assert ("There is no folder .dlt" in message) == started.endswith(".py")


def test_renamed_command_is_one_message_with_its_new_name(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(renamed.RENAMED, "freshness", "status")
    result = command("freshness", "--demo")
    assert (result.code, "The command freshness is called status now." in result.err) == (2, True), result.err


def test_renamed_setting_is_one_message_with_its_new_name(
    serve: Serve, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = serve(recent_account(1))
    monkeypatch.setitem(RENAMED, "sources.comagic.first_date", "sources.comagic.start_date")
    result = command(**access_to(sandbox), SOURCES__COMAGIC__FIRST_DATE="2026-01-01")
    message = "sources.comagic.first_date is called sources.comagic.start_date now."
    assert (result.code, message in result.err.replace("\n", " "), sandbox.requests) == (2, True, 0), result.err


def test_defaults_are_those_of_the_committed_configuration(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNTIME__DLTHUB_TELEMETRY")
    for name in DEFAULTS:
        assert dlt.config.get(name) is None
    apply_defaults()
    in_effect: dict[str, object] = {name: dlt.config.get(name) for name in DEFAULTS}
    (place / ".dlt").mkdir()
    (place / ".dlt" / "config.toml").write_text((ROOT / ".dlt" / "config.toml").read_text("utf-8"))
    Container()[PluggableRunContext].reload()
    assert {name: dlt.config.get(name) for name in DEFAULTS} == in_effect == DEFAULTS
    assert dlt.current.run_context().runtime_config.dlthub_telemetry is False


def test_configured_values_override_the_defaults(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_WRITER__DISABLE_COMPRESSION", "false")
    apply_defaults()
    assert dlt.config.get("sources.data_writer.disable_compression") is None


@pytest.mark.expensive(5)
@pytest.mark.parametrize("is_on", [False, True])
def test_nothing_is_sent_to_the_vendor_of_dlt_unless_it_is_switched_on(serve: Serve, place: Path, is_on: bool) -> None:
    received: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the base class's name
            received.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    environment = {**os.environ, **access_to(serve(recent_account(1))), "PYTHONPATH": str(ROOT)}
    environment["RUNTIME__DLTHUB_TELEMETRY_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}/track"
    del environment["RUNTIME__DLTHUB_TELEMETRY"]
    if is_on:
        (place / ".dlt").mkdir()
        (place / ".dlt" / "config.toml").write_text("[runtime]\ndlthub_telemetry = true\n")
    words = [sys.executable, "-c", "import comagic_pipeline; comagic_pipeline.run()", "load", "--resource", "tags"]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    server.shutdown()
    server.server_close()
    assert ended.returncode == 0, ended.stderr
    assert bool(received) == is_on
