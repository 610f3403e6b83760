"""Tells of a run that failed, or, if wanted, of one that did not: Slack through dlt's hook, all else by a webhook."""

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Tuple
from urllib.parse import urlsplit

from dlt.common.configuration import resolve_configuration, with_config
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.common.json import json
from dlt.common.runtime.slack import send_slack_message
from dlt.common.typing import TSecretStrValue
from dlt.sources.helpers.requests import Client

from ..exceptions import ConfigurationError

TEXT_ONLY = {"text": "{text}"}
"""The default body: what Slack, Mattermost, Rocket.Chat and Google Chat take."""
ATTEMPTS = 3
TIMEOUT = 10.0


@dataclass
class Notifier:
    """Sends one message to wherever the configuration says.

    Attributes:
        webhook_url: where to post JSON; it may hold a secret, so it is never shown.
        webhook_body: the JSON, in whose texts `{text}`, `{outcome}` and `{pipeline}` are replaced.
        slack_hook: dlt's `[runtime] slack_incoming_hook`.
        on_success: tell of runs that did not fail, too.
    """

    webhook_url: Optional[str]
    webhook_body: Any
    slack_hook: Optional[str]
    on_success: bool

    def tell(self, outcome: str, pipeline: str, text: str) -> List[str]:
        """Sends a message; never raises, so that a failing notifier hides nothing.

        Args:
            outcome: `failed`, `stopped early` or `succeeded`.
            pipeline: name of the pipeline.
            text: what to say.

        Returns:
            A sentence for each way that did not work.
        """
        ways: List[Tuple[str, Callable[[], Any]]] = []
        words = {"{text}": text, "{outcome}": outcome, "{pipeline}": pipeline}
        if slack_hook := self.slack_hook:
            ways.append(("Slack (runtime.slack_incoming_hook)", lambda: send_slack_message(slack_hook, text, False)))
        if webhook_url := self.webhook_url:
            body = json.dumpb(_filled(self.webhook_body, words))
            ways.append(("the webhook (notifications.webhook_url)", lambda: _post(webhook_url, body)))
        problems = []
        for name, way in ways:
            try:
                way()
            except Exception as error:  # whatever it is, the run's own outcome counts
                response = getattr(error, "response", None)
                reason = f"HTTP {response.status_code}" if response is not None else type(error).__name__
                problems.append(f"{name} could not be told: {reason}.")
        return problems


@with_config(sections=("notifications",))
def configured_notifier(
    webhook_url: Optional[TSecretStrValue] = None, webhook_body: Any = None, on_success: bool = False
) -> Notifier:
    """The notifier as it is configured, injected by dlt.

    Args:
        webhook_url: `notifications.webhook_url`; a secret.
        webhook_body: `notifications.webhook_body`: a table, or the text of a JSON object; by default `{"text": ...}`.
        on_success: `notifications.on_success`.

    Raises:
        ConfigurationError: a setting is wrong; its value is not shown.
    """
    if webhook_url:
        parts = urlsplit(webhook_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError("notifications.webhook_url is not an address such as https://example.com/hook")
    body = webhook_body or TEXT_ONLY
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            raise ConfigurationError("notifications.webhook_body is not JSON.") from None
    if not isinstance(body, dict):
        raise ConfigurationError("notifications.webhook_body is not a JSON object.")
    slack_hook = resolve_configuration(RuntimeConfiguration()).slack_incoming_hook
    return Notifier(webhook_url, body, slack_hook, on_success)


def _post(url: str, body: bytes) -> None:
    client = Client(request_timeout=TIMEOUT, request_max_attempts=ATTEMPTS)
    client.post(url, data=body, headers={"Content-Type": "application/json; charset=UTF-8"})


def _filled(template: Any, words: Dict[str, str]) -> Any:
    """The template with the words in all its texts."""
    if isinstance(template, dict):
        return {name: _filled(value, words) for name, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, words) for value in template]
    if isinstance(template, str):
        for word, meaning in words.items():
            template = template.replace(word, meaning)
    return template
