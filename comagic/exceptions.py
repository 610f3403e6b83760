"""What can go wrong, what is done about it, and what the user should do: the one table of rules.

    ComagicError                    stop    root of all errors of this package
    ├── ConfigurationError          stop    a setting is missing, unknown or wrong
    ├── UnreachableError            retry   no connection, a reset, a timeout, a truncated body
    │   ├── OverloadedError         retry   HTTP 408, 425, 429 or 5xx; honours Retry-After
    │   └── StatusError             stop    any other HTTP status but 200, redirects included
    ├── BadResponseError            retry   HTML, an empty or truncated body, a wrong id, no data, no total
    ├── MalformedResponseError      stop    JSON with an error in its middle, which nobody can read
    ├── TooLargeError               stop    a response larger than any page, or with more values or levels
    ├── TooManyColumnsError         stop    the API sends more unknown keys than a load may add as columns
    ├── WindowTooDenseError         stop    more calls in one second than the API can return
    ├── BusyError                   stop    another load into the dataset, or on this machine, is active; exit code 75
    ├── LeaseLostError              stop    the lock on the dataset was lost while loading
    ├── MergeError                  stop    after a merge, a key is missing in the table or there twice
    ├── UncountedError              stop    the API does not say how many rows there are, so they cannot be verified
    ├── IncompleteError             stop    several resources failed, or rows were rejected; all else is loaded
    ├── DeadlineError               stop    the time limit of the run is reached; exit code 75
    └── ApiError                    stop    the API returned an error, including unknown mnemonics
        ├── InternalError           retry   transient server error
        ├── LimitExceededError      wait    the minute's quota is exhausted; the day's or hour's: stop, exit code 75
        ├── AccessError             stop    the configured credentials do not work
        │   ├── WrongLoginError     stop
        │   ├── TokenInvalidError   login   unknown token, or an expired session, whatever the mnemonic
        │   ├── TokenExpiredError   login   an expired key or session
        │   ├── TokenBlockedError   stop
        │   ├── AddressError        stop    the IP address is not in the account's allow list
        │   ├── ForbiddenError      stop    the user lacks a permission
        │   ├── ComponentError      stop    the account lacks a paid component
        │   │   └── MethodError     stop    the API, or the brand's manual, does not have the method
        │   └── AccountInactiveError  stop
        └── RequestError            stop    the API rejects the request: a bug here, or a wrong setting

The second column is `Action`; `comagic.api.client` carries it out:

| action | what is done |
| --- | --- |
| retry | the same request again, 5 attempts in all, after 1, 2, 4, 8 seconds (`[runtime] request_max_attempts`, ...) |
| wait | for `minute_reset` seconds, at most 5 times in a row; see `DataApiClient.page` |
| login | one new session, then the same request again; with a key there is no session: stop |
| stop | raised at once: retrying cannot help |

Errors come with HTTP status 200, so a response with `error` always raises. Codes are not unique and differ between the
manual and live responses, so the mnemonic decides. (Source: the vendor's manual of the Data API v2.0, and live
responses.)
"""

import re
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from itertools import count, islice
from typing import Any, ClassVar

from .redaction import printable

LOGIN_METHOD = "login.user"
ACCESS_CODE = -32001
"""Code of all errors about the token, the session and the login (vendor's manual)."""

MAX_DETAILS = 100
"""Values of an error of the API that are looked at."""


class Action(Enum):
    """What is done about an error; see the table above."""

    RETRY = "retry"
    WAIT = "wait"
    LOGIN = "login"
    STOP = "stop"


class ComagicError(Exception):
    """Root of all errors of this package. Its text tells the user what happened and what to do.

    Attributes:
        action: what the client does about it.
        is_early_stop: nothing failed; only time or quota ran out, and the next run resumes.
    """

    action: ClassVar[Action] = Action.STOP
    is_early_stop: ClassVar[bool] = False


class ConfigurationError(ComagicError):
    """A setting is missing, unknown or wrong; the text begins with its full name."""


class UnreachableError(ComagicError):
    """The API could not be reached or did not respond in time, after all attempts."""

    action = Action.RETRY


class OverloadedError(UnreachableError):
    """A transient HTTP status.

    Attributes:
        retry_after: seconds the server asks to wait; 0 if it does not say.
    """

    statuses: ClassVar[tuple[int, ...]] = (408, 425, 429, *range(500, 600))

    def __init__(self, text: str, retry_after: float = 0.0) -> None:
        self.retry_after = retry_after
        super().__init__(text)


class StatusError(UnreachableError):
    """A permanent HTTP status."""

    action = Action.STOP


class BadResponseError(ComagicError):
    """A response that is not documented: no JSON, a truncated body, no rows, a wrong id."""

    action = Action.RETRY


class MalformedResponseError(ComagicError):
    """A response that is JSON up to some position; reading it again would not help."""


class TooLargeError(ComagicError):
    """A response is larger than any page of the API, or has more values or levels; it was not read."""


class TooManyColumnsError(ComagicError):
    """Rows have more unknown keys than a load may add as columns; what came before stays."""


class WindowTooDenseError(ComagicError):
    """One second holds more rows than the API can return; nothing was skipped, the load stops."""


class BusyError(ComagicError):
    """Another load into the dataset, or with the same working folder, is active; nothing was loaded."""

    is_early_stop = True


class LeaseLostError(ComagicError):
    """The lock on the dataset was lost; the load stopped before its merge."""


class MergeError(ComagicError):
    """After a merge, staged keys are missing in the table or there twice; the load package does not count."""


class UncountedError(ComagicError):
    """The API does not say how many rows there are; they were not counted, and nothing was compared."""


class IncompleteError(ComagicError):
    """Several resources failed, or rows were rejected; everything else is loaded."""


class DeadlineError(ComagicError):
    """The time limit of the run is reached."""

    is_early_stop = True


class ApiError(ComagicError):
    """The API returned an error.

    Attributes:
        method: the method that was called.
        mnemonic: the API's name for the error.
        message: the API's own text.
        details: the rest of the error (`field`, `value`, `params`, ...).
    """

    mnemonics: ClassVar[tuple[str, ...]] = ()
    fix: ClassVar[str] = "See the Data API section of the vendor's manual for this error."

    def __init__(self, method: str, mnemonic: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        self.method = method
        self.mnemonic = mnemonic
        self.message = message
        self.details: Mapping[str, Any] = details or {}
        super().__init__(f"{method}: {message.rstrip('.') or 'no message'} ({mnemonic}). {printable(self.advice())}")

    def advice(self) -> str:
        """How to fix it, in one sentence."""
        return self.fix


class InternalError(ApiError):
    """A transient server error."""

    action = Action.RETRY
    mnemonics = ("internal_error",)
    fix = "The error is on the server's side and was retried; run again later."


class LimitExceededError(ApiError):
    """The quota of the minute or of the day is exhausted."""

    action = Action.WAIT
    is_early_stop = True
    mnemonics = ("limit_exceeded",)

    @property
    def kind(self) -> str:
        """`day`, `hour` or `minute`, from the error's text and params; `minute` if neither says."""
        text = f"{self.message} {self.details.get('params')}".lower()
        found = re.search(r"\b(da(?=y|ily)|hour)", text)
        return "minute" if found is None else "hour" if found.group() == "hour" else "day"

    def advice(self) -> str:
        if self.kind == "day":
            return "The day's quota is exhausted: run again after it resets, or set a larger window_days."
        if self.kind == "hour":
            return "The hour's quota is exhausted: run again in an hour."
        return "The minute's quota is exhausted; run again in a minute, or run fewer API clients at a time."


class AccessError(ApiError):
    """The configured credentials do not work."""


class WrongLoginError(AccessError):
    """Wrong login or password."""

    mnemonics = ("auth_error",)
    fix = "Check sources.comagic.credentials.login and .password, and that sources.comagic.base_url is your brand's."


class TokenInvalidError(AccessError):
    """The token is unknown to this host, or its session has expired."""

    action = Action.LOGIN
    mnemonics = ("access_token_invalid",)
    fix = "Check sources.comagic.credentials.access_token, and that sources.comagic.base_url is your brand's."


class TokenExpiredError(AccessError):
    """A key with an expiry date has expired."""

    action = Action.LOGIN
    mnemonics = ("access_token_expired",)
    fix = "Create a new key in your personal account and set it as sources.comagic.credentials.access_token."


class TokenBlockedError(AccessError):
    """The key was blocked."""

    mnemonics = ("access_token_blocked",)
    fix = "Unblock the key in your personal account, or create a new one."


class AddressError(AccessError):
    """Requests from this machine's IP address are not allowed."""

    mnemonics = ("ip_not_whitelisted",)

    def advice(self) -> str:
        found = re.search(
            r"\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]*:[0-9a-fA-F:]+:[0-9a-fA-F]*", f"{self.message} {self.details}"
        )
        address = found.group() if found else "of this machine"
        return f"Add the address {address} to the Data API's allowed addresses in your personal account."


class ForbiddenError(AccessError):
    """The user lacks the permission to call the method."""

    mnemonics = ("forbidden",)

    def advice(self) -> str:
        return f"Give the user of this key the permission to call {self.method} in your personal account."


class ComponentError(AccessError):
    """The account lacks a paid component."""

    mnemonics: ClassVar[tuple[str, ...]] = ("method_component_disabled", "parameter_component_disabled")

    def advice(self) -> str:
        params = self.details.get("params")
        components = params.get("components") if isinstance(params, dict) else None
        named = ", ".join(map(str, components)) if isinstance(components, list) else components
        return f"The account lacks the component {named or 'that this needs'}: enable it, or do not load this resource."


class MethodError(ComponentError):
    """The API, or the manual of the endpoint's brand, does not have the method."""

    mnemonics = ("method_not_found",)

    def advice(self) -> str:
        return f"This brand's API does not have {self.method}: do not load this resource."


class AccountInactiveError(AccessError):
    """The account is inactive."""

    mnemonics = ("account_inactive",)
    fix = "The account is inactive: ask the vendor's support."


class RequestError(ApiError):
    """The API rejects the request."""

    mnemonics = (
        "parse_error",
        "invalid_request",
        "data_type_error",
        "required_parameter_missed",
        "invalid_parameter_value",
        "unexpected_parameters",
        "invalid_parameters_combination",
        "sort_prohibited",
        "filter_prohibited",
        "date_interval_limit_reached",
        "batch_opreations_not_supported",  # so spelled by the API
        "notifications_not_supported",
    )

    @property
    def is_about_order(self) -> bool:
        """True if the API does not accept the order that was requested."""
        is_sort = re.match(r"(params\.)?sort\b", str(self.details.get("field") or "")) is not None
        return is_sort and self.mnemonic in ("unexpected_parameters", "sort_prohibited")

    def names_fields(self, fields: Collection[str]) -> list[str]:
        """Those of the requested fields that the API does not accept; empty if it rejects something else."""
        where = str(self.details.get("field") or "")
        if self.mnemonic != "unexpected_parameters" or re.match(r"(params\.)?(sort|filter)\b", where):
            return []
        # the first of these that names one; of the message only what it quotes, since "name" or "type" is a word, too
        quoted = " ".join(re.findall(r"[\"'`«](\w+)[\"'`»]", self.message))
        for place in (self.details.get("value"), where, self.details.get("params"), quoted):
            if named := set(re.findall(r"\w+", str(place))) & set(fields):
                return sorted(named)
        return []

    def advice(self) -> str:
        named = {key: self.details[key] for key in ("field", "value") if self.details.get(key) is not None}
        shown = ", ".join(f"{key} {value!r}" for key, value in named.items())
        if self.details.get("field") in ("user_id", "params.user_id"):
            return (
                f"An agency login has to name a client: set sources.comagic.user_id, or user_ids for several ({shown})."
            )
        which = f" ({shown})" if shown else ""
        return f"The API does not accept the request{which}: check sources.comagic.fields and .user_id."


UNAVAILABLE = (ForbiddenError, ComponentError)
"""Errors about one resource that the account lacks the permission or component for; others can be read."""

CONCERNS_ALL = (
    DeadlineError,
    ConfigurationError,
    LimitExceededError,
    WrongLoginError,
    TokenInvalidError,
    TokenExpiredError,
    TokenBlockedError,
    AddressError,
)
"""Errors that affect every resource and client, so the load stops at the first."""


def _subclasses(parent: type[ApiError]) -> Iterator[type[ApiError]]:
    for child in parent.__subclasses__():
        yield child
        yield from _subclasses(child)


BY_MNEMONIC: Mapping[str, type[ApiError]] = {name: kind for kind in _subclasses(ApiError) for name in kind.mnemonics}


def api_error(method: str, error: Any) -> ApiError:
    """Returns the exception for the `error` of a response, by its mnemonic; `ApiError` itself for an unknown one."""
    body: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    message, code = (_shown(body.get(name), count()) for name in ("message", "code"))
    data = body.get("data")
    details: dict[str, Any] = _shown(data, count()) if isinstance(data, dict) else {}
    mnemonic = data.get("mnemonic") if isinstance(data, dict) else None
    kind = BY_MNEMONIC.get(mnemonic) if isinstance(mnemonic, str) else None
    # Only a login proves that a password is wrong: some hosts answer an ended session with `auth_error`.
    if (kind is WrongLoginError and method != LOGIN_METHOD) or (kind is None and code == ACCESS_CODE):
        kind = TokenInvalidError
    named = mnemonic if kind and mnemonic else printable(str(details.get("mnemonic") or f"code {code}"))
    return (kind or ApiError)(method, str(named), printable(str(message or "")), details)


def _shown(value: Any, seen: Iterator[int]) -> Any:
    """The first values of a JSON value, their texts for a message."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, (list, dict)) and next(seen) >= MAX_DETAILS:
        return None
    if isinstance(value, list):
        return [_shown(item, seen) for item in islice(value, MAX_DETAILS) if next(seen) < MAX_DETAILS]
    if isinstance(value, dict):
        items = islice(value.items(), MAX_DETAILS)
        return {printable(name): _shown(item, seen) for name, item in items if next(seen) < MAX_DETAILS}
    return value
