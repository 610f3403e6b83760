"""The Data API's client: JSON-RPC 2.0 over HTTPS.

There is one way to make a call, and it either returns what the API documents (`comagic.answers`) or raises one of
`comagic.exceptions`, where the table of rules says what is done about each. Here is who does it:

| action | who |
| --- | --- |
| retry | `_exchange`, by tenacity; each request is a single one to `requests` |
| login | `_call_in_session` |
| wait | `_call`, after a refusal; `_pace` before a request, so that there is none |

Shapes of requests and answers: the vendor's manual of the Data API v2.0; see `comagic/sandbox` for a server of them.
"""

import time
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from typing import Any, Callable, Dict, List, Mapping, Optional, TypeVar, Union

import dlt
from dlt.common import logger
from dlt.common.configuration import resolve_configuration, with_config
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.common.json import json
from dlt.sources.helpers.requests import Session
from requests import Response
from requests.exceptions import RequestException
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from ..exceptions import (
    Action,
    ComagicError,
    ConfigurationError,
    LimitExceededError,
    OverloadedError,
    StatusError,
    UnreachableError,
)
from ..settings import (
    BASE_URL,
    CONNECT_TIMEOUT,
    MAX_LIMIT,
    MAX_MINUTE_WAITS,
    MINUTE_WAIT,
    NO_ACCESS,
    SLOW_SHARE,
    checked_base_url,
)
from .credentials import Credentials, KeyCredentials, LoginCredentials
from .deadline import Deadline
from .responses import Account, Page, Result, account_of, decoded, limits_of, page_of, result_of, token_of

Read = TypeVar("Read")


@dataclass
class Usage:
    """What was asked of the API so far.

    Attributes:
        calls: answered calls by method, errors included.
        seconds: time spent waiting for the API: on the wire, between attempts, for the minute's points.
        limits: the last `metadata.limits` seen: what is left of the points of the day and of the minute.
    """

    calls: Dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    limits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All calls."""
        return sum(self.calls.values())

    def number(self, name: str) -> Optional[int]:
        """One of the limits, if it was told."""
        value = self.limits.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


class DataApiClient:
    """Calls methods of the Data API of one account.

    Args:
        credentials: a key, or login and password.
        base_url: the brand's endpoint.
        user_id: id of a client of an agency, sent with every call; only for agency logins.
        deadline: when to stop, and how to wait; by default as long as it takes.

    Raises:
        ConfigurationError: `base_url` is no address of an API, or would send the access in the clear.
    """

    def __init__(
        self,
        credentials: Credentials,
        base_url: str = BASE_URL,
        user_id: Optional[int] = None,
        deadline: Optional[Deadline] = None,
    ) -> None:
        self.base_url = checked_base_url(base_url)
        if not (credentials.access_token if isinstance(credentials, KeyCredentials) else credentials.login):
            raise ConfigurationError(NO_ACCESS)
        self.usage = Usage()
        self._user_id = user_id
        self.deadline = deadline or Deadline()
        self._limits_at = 0.0
        self._token: Optional[str] = None
        self._login: Optional[Dict[str, str]] = None
        if isinstance(credentials, KeyCredentials):
            self._token = credentials.access_token
        else:
            self._login = {"login": credentials.login, "password": credentials.password}
        self._ids = count(1)
        self._accounts: Dict[Optional[int], Account] = {}
        runtime = resolve_configuration(RuntimeConfiguration())
        self._timeout = float(runtime.request_timeout)
        self._longest_pause = float(runtime.request_max_retry_delay)
        self._growing_pause = wait_exponential(multiplier=runtime.request_backoff_factor, max=self._longest_pause)
        self._session = Session(raise_for_status=False)
        self._retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, ComagicError) and error.action is Action.RETRY),
            stop=stop_after_attempt(runtime.request_max_attempts),
            wait=self._pause,
            sleep=self._wait,
            reraise=True,
        )

    def account(self, user_id: Optional[int] = None) -> Account:
        """The account, asked for once.

        Args:
            user_id: client of an agency; default: the one that is sent with every call, if any.
        """
        if user_id not in self._accounts:
            params = {} if user_id is None else {"user_id": user_id}
            self._accounts[user_id] = self._call("get.account", params, account_of)
        return self._accounts[user_id]

    def page(self, method: str, offset: int, limit: int = MAX_LIMIT, **params: Any) -> Page:
        """Calls a method that returns rows, for one page of them.

        Args:
            method: for example `get.calls_report`.
            offset: rows to skip, at most 100,000.
            limit: rows to return, at most 10,000.
            **params: further parameters of the method.

        Raises:
            ApiError: the API answered with an error; the subclass tells which.
            BadAnswerError: answers were not what the API documents, however often asked.
            UnreachableError: no connection or no answer in time, however often asked.
            LimitExceededError: the day's points are spent, or others spend the minute's all the time.
            DeadlineError: there is no time left to ask or to wait.
        """
        return self._call(method, {**params, "offset": offset, "limit": limit}, page_of)

    def _call(self, method: str, params: Mapping[str, Any], read: Callable[[str, Result], Read]) -> Read:
        """Calls a method and returns what `read` makes of its result; waits for the minute's points if need be."""
        for _ in range(MAX_MINUTE_WAITS):
            try:
                return self._call_in_session(method, params, read)
            except LimitExceededError as spent:
                if spent.kind == "day" or self.usage.number("day_remaining") == 0:
                    raise
                self._wait(self._minute_rest() + 1)
        return self._call_in_session(method, params, read)

    def _call_in_session(self, method: str, params: Mapping[str, Any], read: Callable[[str, Result], Read]) -> Read:
        """Makes the call; where a session has ended, logs in once and makes it again."""
        is_fresh = self._token is None
        try:
            return self._exchange(method, {**self._access(), **params}, read)
        except ComagicError as error:
            if error.action is not Action.LOGIN or is_fresh or self._login is None:
                raise
        self._token = None
        return self._exchange(method, {**self._access(), **params}, read)

    def _access(self) -> Dict[str, Any]:
        """The parameters that every call carries; opens a session if there is none."""
        if self._token is None:
            self._token = self._exchange("login.user", self._login or {}, token_of)
        agency = {} if self._user_id is None else {"user_id": self._user_id}
        return {"access_token": self._token, **agency}

    def _exchange(self, method: str, params: Mapping[str, Any], read: Callable[[str, Result], Read]) -> Read:
        """A request and what its answer means, tried again while answers are none."""
        meant: Read = self._retrying(self._exchange_once, method, params, read)
        return meant

    def _exchange_once(self, method: str, params: Mapping[str, Any], read: Callable[[str, Result], Read]) -> Read:
        """One request and what its answer means. Neither ever reaches a log: the request carries the access."""
        self._pace()
        sent_id = next(self._ids)
        request = {"jsonrpc": "2.0", "id": sent_id, "method": method, "params": params}
        logger.debug(f"Data API call {sent_id}: {method}")
        body = self._posted(method, json.dumpb(request))
        answer = decoded(method, body)
        if "error" in answer:
            answer = decoded(method, self._without_secrets(body))
        self.usage.calls[method] = self.usage.calls.get(method, 0) + 1
        if limits := limits_of(answer):
            self.usage.limits, self._limits_at = limits, self.deadline.now()
        return read(method, result_of(method, answer, sent_id))

    def _without_secrets(self, body: bytes) -> bytes:
        """The body of an error, which may quote the request, without the access in it."""
        for secret in (self._token, (self._login or {}).get("password")):
            body = body.replace(json.dumpb(secret)[1:-1], b"***") if secret else body
        return body

    def _posted(self, method: str, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json; charset=UTF-8", "User-Agent": "comagic-dlt"}
        left = self.deadline.check()
        began = time.perf_counter()
        try:
            answer = self._session.post(
                self.base_url,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=(min(CONNECT_TIMEOUT, left), min(self._timeout, left)),
            )
        except RequestException as error:
            self.deadline.check()
            raise UnreachableError(
                f"{method}: {self.base_url} cannot be reached ({_reason(error)}). "
                "Check sources.comagic.base_url and the network."
            ) from None
        finally:
            self.usage.seconds += time.perf_counter() - began
        if answer.status_code in OverloadedError.statuses:
            raise OverloadedError(
                f"{method}: {self.base_url} answered HTTP {answer.status_code}, however often it was asked. Check "
                "sources.comagic.base_url; if it is right, the service is out of order: run again later.",
                _retry_after(answer),
            )
        if answer.status_code != HTTPStatus.OK:
            raise StatusError(
                f"{method}: {self.base_url} answered HTTP {answer.status_code}, which the API does not do. "
                "Check sources.comagic.base_url."
            )
        return answer.content

    def _pace(self) -> None:
        """Waits before a request if the minute's points are spent, or nearly: the last of them are spread.

        A refused request costs nothing but the patience of the server; and what is left of the minute others of the
        same account may need.
        """
        remaining, limit = self.usage.number("minute_remaining"), self.usage.number("minute_limit")
        rest = self._minute_rest()
        if remaining is None or limit is None or rest <= 0:
            return
        if remaining == 0:
            self._wait(rest + 1)
        elif remaining <= limit * SLOW_SHARE:
            self._wait(rest / (remaining + 1))

    def _minute_rest(self) -> float:
        """Seconds until the minute's points are renewed, as far as the last answer told."""
        reset = self.usage.number("minute_reset")
        if reset is None:
            return MINUTE_WAIT
        return max(0.0, min(reset, MINUTE_WAIT) - (self.deadline.now() - self._limits_at))

    def _pause(self, state: RetryCallState) -> float:
        """Seconds before the next attempt: growing ones, or what the server asked for if that is longer."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, OverloadedError) else 0.0
        return max(self._growing_pause(state), min(asked, self._longest_pause))

    def _wait(self, seconds: float) -> None:
        self.deadline.sleep(seconds)
        self.usage.seconds += seconds


@with_config(sections=("sources", "comagic"))
def open_client(
    credentials: Union[KeyCredentials, LoginCredentials] = dlt.secrets.value,
    base_url: str = BASE_URL,
    user_id: Optional[int] = None,
    deadline: Optional[Deadline] = None,
) -> DataApiClient:
    """Makes a client from the same settings as the source's, injected by dlt.

    Args:
        credentials: `sources.comagic.credentials`.
        base_url: `sources.comagic.base_url`.
        user_id: `sources.comagic.user_id`.
        deadline: of the run that uses the client.
    """
    return DataApiClient(credentials, base_url, user_id, deadline)


def _retry_after(answer: Response) -> float:
    """Seconds that an answer asks to wait, given as such or as a date; 0 if it does not, or not in a way known."""
    try:
        return Retry().parse_retry_after(answer.headers.get("Retry-After", "0"))
    except InvalidHeader:
        return 0.0


def _reason(error: RequestException) -> str:
    """The shortest true name of a transport fault: requests wraps it in several layers of text."""
    cause: BaseException = error
    chain: List[BaseException] = []
    while cause is not None and cause not in chain:
        chain.append(cause)
        inner = [arg for arg in (*cause.args, getattr(cause, "reason", None)) if isinstance(arg, BaseException)]
        cause = inner[0] if inner else cause.__cause__ or cause.__context__  # type: ignore[assignment]
    last = chain[-1]
    return f"{type(last).__name__}: {last}" if str(last) else type(last).__name__
