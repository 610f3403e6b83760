"""What can go wrong, what is done about it, and the sentence that says how to mend it: the one table of rules.

    ComagicError                    stop    root of all errors of this package
    ├── ConfigurationError          stop    a setting is missing, unknown or wrong
    ├── UnreachableError            retry   no connection, a reset, no answer in time, a body cut short
    │   ├── OverloadedError         retry   HTTP 408, 425, 429 or 5xx; not before what Retry-After says
    │   └── StatusError             stop    any other HTTP status but 200, redirects too
    ├── BadAnswerError              retry   HTML, an empty body, half of one, another call's answer, no data, no total
    ├── WindowTooDenseError         stop    more calls in one second than the API can hand out
    ├── BusyError                   stop    another run of the same pipeline is under way on this machine
    ├── DeadlineError               stop    the time that the run may take is over; ends with 75
    └── ApiError                    stop    the API answered with an error, of an unknown mnemonic too
        ├── InternalError           retry   passing fault of the server
        ├── LimitExceededError      wait    points of the minute are spent; those of the day: stop, ends with 75
        ├── AccessError             stop    the access that is configured does not work
        │   ├── WrongLoginError     stop
        │   ├── TokenInvalidError   login   unknown token, or a session that has ended
        │   ├── TokenExpiredError   login   a key with an end date, or a session
        │   ├── TokenBlockedError   stop
        │   ├── AddressError        stop    this machine's address is not in the account's allow-list
        │   ├── ForbiddenError      stop    the user lacks a right
        │   ├── ComponentError      stop    the account lacks a paid component
        │   └── AccountInactiveError  stop
        └── RequestError            stop    the API refuses the request as such: a bug here, or a setting it dislikes

The second column is `Action`; `comagic.client` does what it says:

| action | what is done |
| --- | --- |
| retry | the same request again, 5 times in all, after 1, 2, 4, 8 seconds (`[runtime] request_max_attempts`, ...) |
| wait | for as long as `minute_reset` says, 5 times in a row at most; see also `DataApiClient.page` |
| login | one new session, then the same request again; with a key there is none: stop |
| stop | raised at once: nothing here can mend it |

Errors come with HTTP status 200, so an answer with `error` always raises. Codes are not unique and differ between the
manual and live answers: the mnemonic decides. (Source: the vendor's manual of the Data API v2.0, and live answers.)
"""

import re
from enum import Enum
from typing import Any, ClassVar, Dict, Iterator, Mapping, Optional, Tuple, Type


class Action(Enum):
    """What is done about an error; see the table above."""

    RETRY = "retry"
    WAIT = "wait"
    LOGIN = "login"
    STOP = "stop"


class ComagicError(Exception):
    """Root of all errors of this package. Its text is a sentence for the person who has to act.

    Attributes:
        action: what the client does about it.
        is_early_stop: nothing is wrong, there was only no more time or budget; the next run goes on.
    """

    action: ClassVar[Action] = Action.STOP
    is_early_stop: ClassVar[bool] = False


class ConfigurationError(ComagicError):
    """A setting is missing, unknown or wrong; the text begins with its full name."""


class UnreachableError(ComagicError):
    """The API could not be reached, or did not answer in time, however often it was tried."""

    action = Action.RETRY


class OverloadedError(UnreachableError):
    """An HTTP status that passes.

    Attributes:
        retry_after: seconds that the server asks to wait; 0 if it does not say.
    """

    statuses: ClassVar[Tuple[int, ...]] = (408, 425, 429, *range(500, 600))

    def __init__(self, text: str, retry_after: float = 0.0) -> None:
        self.retry_after = retry_after
        super().__init__(text)


class StatusError(UnreachableError):
    """An HTTP status that will not pass by itself."""

    action = Action.STOP


class BadAnswerError(ComagicError):
    """The API answered something that it does not document: no JSON, half a body, no rows, another call's answer."""

    action = Action.RETRY


class WindowTooDenseError(ComagicError):
    """One second holds more rows than the API lets anyone page to; nothing was skipped, the load stops."""


class BusyError(ComagicError):
    """Another run of the same pipeline is under way on this machine; nothing was done."""


class DeadlineError(ComagicError):
    """The time that the run may take is over."""

    is_early_stop = True


class ApiError(ComagicError):
    """The API answered with an error.

    Attributes:
        method: the method that was called.
        mnemonic: the API's name of the error.
        message: the API's own sentence.
        details: the rest of what it says (`field`, `value`, `params`, ...).
    """

    mnemonics: ClassVar[Tuple[str, ...]] = ()
    mend: ClassVar[str] = "See the Data API section of the vendor's manual for this error."

    def __init__(self, method: str, mnemonic: str, message: str, details: Optional[Mapping[str, Any]] = None) -> None:
        self.method = method
        self.mnemonic = mnemonic
        self.message = message
        self.details: Mapping[str, Any] = details or {}
        super().__init__(f"{method}: {message.rstrip('.') or 'no message'} ({mnemonic}). {self.advice()}")

    def advice(self) -> str:
        """How to mend it, in one sentence."""
        return self.mend


class InternalError(ApiError):
    """A passing fault of the server."""

    action = Action.RETRY
    mnemonics = ("internal_error",)
    mend = "The fault is on the server's side and was retried; run again later."


class LimitExceededError(ApiError):
    """The points of the minute or of the day are spent."""

    action = Action.WAIT
    is_early_stop = True
    mnemonics = ("limit_exceeded",)

    @property
    def kind(self) -> str:
        """`day` or `minute`, as far as the answer tells; `minute` if it does not."""
        told = f"{self.message} {self.details.get('params')}".lower()
        return "day" if re.search(r"\bda(y|ily)", told) else "minute"

    def advice(self) -> str:
        if self.kind == "day":
            return "The day's points are spent: run again when they are renewed, or with a larger window_days."
        return "The minute's points are spent; run again in a minute, or run fewer readers of the API at a time."


class AccessError(ApiError):
    """The access that is configured does not work."""


class WrongLoginError(AccessError):
    """Wrong login or password."""

    mnemonics = ("auth_error",)
    mend = "Check sources.comagic.credentials.login and .password, and that sources.comagic.base_url is your brand's."


class TokenInvalidError(AccessError):
    """The token is unknown to this host, or its session has ended."""

    action = Action.LOGIN
    mnemonics = ("access_token_invalid",)
    mend = "Check sources.comagic.credentials.access_token, and that sources.comagic.base_url is your brand's."


class TokenExpiredError(AccessError):
    """A key with an end date has ended."""

    action = Action.LOGIN
    mnemonics = ("access_token_expired",)
    mend = "Make a new key in your personal account and set it as sources.comagic.credentials.access_token."


class TokenBlockedError(AccessError):
    """The key was blocked."""

    mnemonics = ("access_token_blocked",)
    mend = "Unblock the key in your personal account, or make a new one."


class AddressError(AccessError):
    """Requests from this machine's address are not allowed."""

    mnemonics = ("ip_not_whitelisted",)

    def advice(self) -> str:
        found = re.search(
            r"\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]*:[0-9a-fA-F:]+:[0-9a-fA-F]*", f"{self.message} {self.details}"
        )
        address = found.group() if found else "of this machine"
        return f"Add the address {address} to the Data API's allowed addresses in your personal account."


class ForbiddenError(AccessError):
    """The user lacks the right to call the method."""

    mnemonics = ("forbidden",)

    def advice(self) -> str:
        return f"Give the user of this key the right to call {self.method} in your personal account."


class ComponentError(AccessError):
    """The account lacks a paid component."""

    mnemonics = ("method_component_disabled", "parameter_component_disabled")

    def advice(self) -> str:
        params = self.details.get("params")
        components = params.get("components") if isinstance(params, dict) else None
        named = ", ".join(map(str, components)) if isinstance(components, list) else components
        return f"The account lacks the component {named or 'that this needs'}: connect it, or leave this out."


class AccountInactiveError(AccessError):
    """The account is inactive."""

    mnemonics = ("account_inactive",)
    mend = "The account is inactive: ask the vendor's support."


class RequestError(ApiError):
    """The API refuses the request as such."""

    mnemonics = (
        "parse_error",
        "invalid_request",
        "method_not_found",
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

    def advice(self) -> str:
        named = {key: self.details[key] for key in ("field", "value") if self.details.get(key) is not None}
        told = ", ".join(f"{key} {value!r}" for key, value in named.items())
        if self.details.get("field") in ("user_id", "params.user_id"):
            return f"An agency's login names a client: set sources.comagic.user_id, or user_ids for several ({told})."
        which = f" ({told})" if told else ""
        return f"The API does not accept the request{which}: check sources.comagic.fields and .user_id."


CONCERNS_ALL = (
    UnreachableError,
    DeadlineError,
    LimitExceededError,
    WrongLoginError,
    TokenInvalidError,
    TokenExpiredError,
    TokenBlockedError,
    AddressError,
)
"""What stops one client of an agency stops the others, too, if it is one of these."""


def _subclasses(of: Type[ApiError]) -> Iterator[Type[ApiError]]:
    for child in of.__subclasses__():
        yield child
        yield from _subclasses(child)


BY_MNEMONIC: Mapping[str, Type[ApiError]] = {name: of for of in _subclasses(ApiError) for name in of.mnemonics}


def api_error(method: str, error: Any) -> ApiError:
    """Makes the exception for the `error` of an answer, by its mnemonic; `ApiError` itself for an unknown one."""
    body: Dict[str, Any] = error if isinstance(error, dict) else {"message": str(error)}
    data = body.get("data")
    details: Dict[str, Any] = data if isinstance(data, dict) else {}
    mnemonic = str(details.get("mnemonic") or f"code {body.get('code')}")
    return BY_MNEMONIC.get(mnemonic, ApiError)(method, mnemonic, str(body.get("message") or ""), details)
