"""What a function at Yandex Cloud needs beside the command line: requests in its events, its time limit, its responses.

A timer sends a message whose payload is the request. Over HTTP, the request is the body; `yc serverless function
invoke` sends it alone. A trigger repeats an event as often as it is set to if the function fails: so a transient error
is raised, and a lasting one is logged and returned. Facts: Yandex Cloud's pages about function calls, timers, context
and logs.
"""

import base64
import binascii
import json
import traceback
from collections.abc import Mapping
from typing import Any

from ..redaction import mask, printable
from .cloud_function import BadRequestError, parse_request, serve
from .cloud_log import FAILED, REJECTED, log
from .errors import explain
from .options import RunLoad

SPARE_MINUTES = 1.0
"""Time between the load's limit and the function's: a merge that has begun is finished."""
UNKNOWN_MINUTES = 8.0
"""Time limit of a load if the context does not say how much time there is."""
MIN_MINUTES = 0.1


class LoadFailedError(Exception):
    """A load failed, and a repetition may succeed; the message has no secrets, since the platform logs it."""


def serve_yandex_event(event: Any, context: Any, run: RunLoad) -> dict[str, Any]:
    """Loads what an event asks for; after an early stop, the next event resumes.

    Args:
        event: a timer's messages, an HTTP request, or the request itself: JSON with `since`, `until`, `resources` and
            `lookback_days`, or nothing.
        context: the call's context, which knows how much time is left.
        run: gives each source of a load to a pipeline.

    Returns:
        The outcome and a message; for an HTTP request as a response: 200 if all is loaded or the next request resumes,
        400 for a bad request or configuration, 500 for an error.

    Raises:
        LoadFailedError: a transient error, except of an HTTP request, so that the trigger repeats the event.
    """
    is_http = isinstance(event, Mapping) and "httpMethod" in event
    try:
        outcome, message = serve(lambda: parse_request(request_text(event)), load_minutes(context), run)
    except Exception as error:
        message = explain(error)
        if not message:  # a bug: what is raised has no traceback, since the platform would log it with secrets
            log("ERROR", mask("".join(traceback.format_exception(error))))
            message = mask(f"{type(error).__name__}: {error}")
        if not is_http:
            raise LoadFailedError(message) from None
        outcome = FAILED
    result = {"outcome": outcome, "message": message}
    return http_response(result) if is_http else result


def request_text(event: Any) -> str:
    """The request in an event, as the text of a JSON object; empty for none.

    Raises:
        BadRequestError: the event has no request that could be read.
    """
    if isinstance(event, Mapping) and "messages" in event:
        return _payload(event["messages"])
    if isinstance(event, Mapping) and "httpMethod" in event:
        return _body(event)
    if isinstance(event, Mapping):
        return json.dumps(event)
    return _text(event)


def load_minutes(context: Any) -> float:
    """Time limit of a load: what is left of the function's own, less a minute in which it ends."""
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    if remaining is None:
        return UNKNOWN_MINUTES
    return max(float(remaining()) / 60_000 - SPARE_MINUTES, MIN_MINUTES)


def http_response(result: dict[str, str]) -> dict[str, Any]:
    """A result as the response to an HTTP request."""
    status = {REJECTED: 400, FAILED: 500}.get(result["outcome"], 200)
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(result, ensure_ascii=False),
    }


def _payload(messages: Any) -> str:
    """The payload of a timer's message."""
    match messages:
        case [{"details": {"payload": payload}}]:
            return _text(payload)
        case [{"details": {"trigger_id": _}}]:
            return ""
    raise BadRequestError(f"The event is not one message of a timer: {printable(repr(messages))}.")


def _body(request: Mapping[str, Any]) -> str:
    """The body of an HTTP request."""
    body = request.get("body")
    if not request.get("isBase64Encoded"):
        return _text(body)
    try:
        return base64.b64decode(body or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, TypeError, ValueError) as error:
        raise BadRequestError(f"The request's body is not base64 of UTF-8 text: {error}.") from None


def _text(value: Any) -> str:
    """A text, which may come as bytes or be missing."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise BadRequestError(f"The request is not UTF-8 text: {error}.") from None
    if value is None or isinstance(value, str):
        return (value or "").strip()
    raise BadRequestError(f"The request is not text: {printable(repr(value))}.")
