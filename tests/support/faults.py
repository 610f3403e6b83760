"""Transient faults of the sandbox, and how to shorten those that hang."""

from comagic.exceptions import BadResponseError, InternalError, OverloadedError, UnreachableError

HANGS = {"RUNTIME__REQUEST_TIMEOUT": "1"}
"""Environment under which a request times out after a second; only for hangs, because a busy machine is slow, too."""

TRANSIENT = {
    "reset": UnreachableError,
    "cut": UnreachableError,
    "hang": UnreachableError,
    "html": BadResponseError,
    "empty": BadResponseError,
    "garbage": BadResponseError,
    "wrong_id": BadResponseError,
    "no_result": BadResponseError,
    "null_data": BadResponseError,
    "internal_error": InternalError,
    "408": OverloadedError,
    "429": OverloadedError,
    "429:2": OverloadedError,
    "500": OverloadedError,
    "502": OverloadedError,
    "503": OverloadedError,
    "599": OverloadedError,
}
"""Each fault with the exception that is raised if it lasts."""
