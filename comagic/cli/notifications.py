"""Notifies about a failed run, or about every run if configured: Slack by dlt's hook, others by webhook."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dlt.common.configuration import resolve_configuration
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.common.json import json
from rich.console import Console
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt, wait_exponential

from ..api.transport import Transport
from ..exceptions import BusyError, OverloadedError
from ..load.runner import PIPELINE
from ..redaction import mask, one_line, remember_secret
from ..settings import NotificationSettings, resolve_notifications
from ..values import parse_webhook_url
from .errors import EXIT_EARLY, EXIT_INTERRUPTED, causes, exit_code, explain

SLACK_HOOK = "runtime.slack_incoming_hook"
ATTEMPTS = 3
TIMEOUT = 10.0
"""Seconds that an attempt may take."""
HEADERS = {"Content-Type": "application/json; charset=UTF-8"}
ACCEPTED = range(200, 300)
"""Not a redirect: it would take the message, and the secret in the path, somewhere else."""
PERMANENT = {
    TimeoutError.__name__,
    *(f"HTTP {status}" for status in range(300, 500) if status not in OverloadedError.statuses),
}
"""Problems after which nothing is sent again; a receiver that did not answer in time may have got the message."""
NO_MARKUP = str.maketrans({"<": "\u2039", ">": "\u203a", "@": "\uff20"})
"""Characters that chats take for mentions, links and markup, and what is posted instead: a text can quote the API."""


class Notifier:
    """Sends one message to every configured receiver.

    Args:
        settings: the settings of `[notifications]`.
        slack_hook: dlt's `[runtime] slack_incoming_hook`; dlt's own function would wait for it without a limit.
    """

    def __init__(self, settings: NotificationSettings, slack_hook: str | None) -> None:
        self.on_success, self.wants_digest = settings.on_success, settings.digest
        self._settings = settings
        self._slack_hook = slack_hook

    def send(self, outcome: str, text: str) -> list[str]:
        """Sends a message; never raises, so that a failing notifier hides nothing.

        Args:
            outcome: `failed`, `stopped early`, `succeeded with warnings`, `succeeded` or `digest`.
            text: the message.

        Returns:
            A warning for each receiver that could not be notified.
        """
        text = one_line(mask(text)).translate(NO_MARKUP)
        words = {"{text}": text, "{outcome}": outcome, "{pipeline}": PIPELINE}
        receivers = (
            (f"Slack ({SLACK_HOOK})", self._slack_hook, {"text": "{text}", "mrkdwn": False}),
            ("the webhook (notifications.webhook_url)", self._settings.webhook_url, self._settings.webhook_body),
        )
        problems = {name: _post(url, json.dumpb(_fill(body, words))) for name, url, body in receivers if url}
        return [f"{name} could not be notified: {problem}." for name, problem in problems.items() if problem]


def configured_notifier() -> Notifier:
    """Returns the notifier as it is configured.

    Raises:
        ConfigurationError: a setting is wrong; its value is not shown.
    """
    slack_hook = resolve_configuration(RuntimeConfiguration()).slack_incoming_hook
    remember_secret(slack_hook)
    return Notifier(resolve_notifications(), parse_webhook_url(SLACK_HOOK, slack_hook))


@contextmanager
def notify_outcome(
    notifier: Notifier, summary: Callable[[], str], warnings: Callable[[], Sequence[str]], console: Console
) -> Iterator[None]:
    """Notifies how the `with` block ended.

    Not about an interruption, which somebody wanted, nor about a load that another one kept out.

    Args:
        notifier: the notifier.
        summary: returns the run in one line.
        warnings: returns what the run noticed; a successful run with warnings is always reported.
        console: where warnings about the notifier itself go.
    """

    def send(outcome: str, text: str) -> None:
        message = " ".join(filter(None, (f"CoMagic load {outcome}.", text, *warnings(), summary())))
        for warning in notifier.send(outcome, message):
            console.print(f"Warning: {warning}", style="yellow", markup=False, highlight=False)

    try:
        yield
    except Exception as error:
        code = exit_code(error)
        if any(isinstance(cause, BusyError) for cause in causes(error)):
            raise  # the other load will be notified
        if code == EXIT_EARLY and notifier.on_success:
            send("stopped early", explain(error))
        elif code not in (EXIT_EARLY, EXIT_INTERRUPTED):
            send("failed", explain(error) or type(error).__name__)
        raise
    if warnings():
        send("succeeded with warnings", "")
    elif notifier.on_success:
        send("succeeded", "")


def _post(url: str, body: bytes) -> str:
    """Posts a message, again after a transient problem; returns the last problem, empty if there is none."""
    factor = resolve_configuration(RuntimeConfiguration()).request_backoff_factor
    retrying = Retrying(
        retry=retry_if_result(lambda problem: problem and problem not in PERMANENT),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=factor, max=TIMEOUT),
        retry_error_callback=_last_problem,
    )
    problem: str = retrying(_attempt, url, body)
    return problem


def _attempt(url: str, body: bytes) -> str:
    try:
        status = Transport(url, TIMEOUT).send(body, HEADERS, TIMEOUT)
    except Exception as error:  # whatever it is, the run's own outcome counts
        return type(error).__name__
    return "" if status in ACCEPTED else f"HTTP {status}"


def _last_problem(state: RetryCallState) -> Any:
    return state.outcome.result() if state.outcome else None


def _fill(template: Any, words: Mapping[str, str]) -> Any:
    """The template with the words in all its texts."""
    if isinstance(template, dict):
        return {name: _fill(value, words) for name, value in template.items()}
    if isinstance(template, list):
        return [_fill(value, words) for value in template]
    if isinstance(template, str):
        for word, text in words.items():
            template = template.replace(word, text)
    return template
