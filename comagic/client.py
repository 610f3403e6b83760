"""The Data API's client: JSON-RPC 2.0 over HTTPS, on dlt's retrying requests session.

There is one way to make a call, and it either returns what the API documents (`comagic.answers`) or raises one of
`comagic.exceptions`. Who retries what:

| what happens | who meets it | how |
| --- | --- | --- |
| no connection, timeout, reset, cut body, HTTP 429, 5xx | dlt's session | 5 attempts (`[runtime] request_*`) |
| other HTTP status, redirect | nobody | raised at once |
| no JSON, wrong id, no data, no total, `internal_error` | `_exchange` | the same number of attempts and pauses |
| minute's points spent | `_call` | waits `minute_reset`, at most `MAX_MINUTE_WAITS` times in a row |
| session ended (login and password only) | `_call_in_session` | one new login, the same call again |
| everything else | nobody | raised at once: a person has to mend it |

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
from dlt.sources.helpers import requests
from requests.exceptions import HTTPError, RequestException
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from comagic.answers import Account, Page, Result, account_of, decoded, limits_of, page_of, result_of, token_of
from comagic.credentials import Credentials, KeyCredentials, LoginCredentials
from comagic.exceptions import (
    BadAnswerError,
    ConfigurationError,
    InternalError,
    LimitExceededError,
    TokenExpiredError,
    TokenInvalidError,
    UnreachableError,
)
from comagic.settings import (
    BASE_URL,
    CONNECT_TIMEOUT,
    MAX_LIMIT,
    MAX_MINUTE_WAITS,
    MINUTE_WAIT,
    NO_ACCESS,
    checked_base_url,
)

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


class DataApiClient:
    """Calls methods of the Data API of one account.

    Args:
        credentials: a key, or login and password.
        base_url: the brand's endpoint.
        user_id: id of a client of an agency, sent with every call; only for agency logins.
        sleep: how to wait, in seconds.

    Raises:
        ConfigurationError: `base_url` is no address of an API, or would send the access in the clear.
    """

    def __init__(
        self,
        credentials: Credentials,
        base_url: str = BASE_URL,
        user_id: Optional[int] = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = checked_base_url(base_url)
        if not (credentials.access_token if isinstance(credentials, KeyCredentials) else credentials.login):
            raise ConfigurationError(NO_ACCESS)
        self.usage = Usage()
        self._user_id = user_id
        self._sleep = sleep
        self._token: Optional[str] = None
        self._login: Optional[Dict[str, str]] = None
        if isinstance(credentials, KeyCredentials):
            self._token = credentials.access_token
        else:
            self._login = {"login": credentials.login, "password": credentials.password}
        self._ids = count(1)
        self._account: Optional[Account] = None
        runtime = resolve_configuration(RuntimeConfiguration())
        self._session = requests.Client(
            request_timeout=(CONNECT_TIMEOUT, runtime.request_timeout),
            request_max_attempts=runtime.request_max_attempts,
            request_backoff_factor=runtime.request_backoff_factor,
            request_max_retry_delay=runtime.request_max_retry_delay,
        )
        self._retrying = Retrying(
            retry=retry_if_exception_type((BadAnswerError, InternalError)),
            stop=stop_after_attempt(runtime.request_max_attempts),
            wait=wait_exponential(multiplier=runtime.request_backoff_factor, max=runtime.request_max_retry_delay),
            sleep=self._wait,
            reraise=True,
        )

    def account(self) -> Account:
        """The account, asked for once."""
        if self._account is None:
            self._account = self._call("get.account", {}, account_of)
        return self._account

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
        """
        return self._call(method, {**params, "offset": offset, "limit": limit}, page_of)

    def _call(self, method: str, params: Mapping[str, Any], read: Callable[[str, Result], Read]) -> Read:
        """Calls a method and returns what `read` makes of its result; waits for the minute's points if need be."""
        for _ in range(MAX_MINUTE_WAITS):
            try:
                return self._call_in_session(method, params, read)
            except LimitExceededError as spent:
                if self._day_is_spent(spent):
                    raise
                self._wait(self._minute_reset())
        return self._call_in_session(method, params, read)

    def _call_in_session(self, method: str, params: Mapping[str, Any], read: Callable[[str, Result], Read]) -> Read:
        """Makes the call; where a session has ended, logs in once and makes it again."""
        is_fresh = self._token is None
        try:
            return self._exchange(method, {**self._access(), **params}, read)
        except (TokenInvalidError, TokenExpiredError):
            if is_fresh or self._login is None:
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
        sent_id = next(self._ids)
        request = {"jsonrpc": "2.0", "id": sent_id, "method": method, "params": params}
        logger.debug(f"Data API call {sent_id}: {method}")
        body = self._posted(method, json.dumpb(request))
        answer = decoded(method, body)
        if "error" in answer:
            answer = decoded(method, self._without_secrets(body))
        self.usage.calls[method] = self.usage.calls.get(method, 0) + 1
        self.usage.limits = limits_of(answer) or self.usage.limits
        return read(method, result_of(method, answer, sent_id))

    def _without_secrets(self, body: bytes) -> bytes:
        """The body of an error, which may quote the request, without the access in it."""
        for secret in (self._token, (self._login or {}).get("password")):
            body = body.replace(json.dumpb(secret)[1:-1], b"***") if secret else body
        return body

    def _posted(self, method: str, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json; charset=UTF-8", "User-Agent": "comagic-dlt"}
        began = time.perf_counter()
        try:
            answer = self._session.post(self.base_url, data=body, headers=headers, allow_redirects=False)
        except HTTPError as error:
            status = error.response.status_code if error.response is not None else "an error"
            raise UnreachableError(
                f"{method}: {self.base_url} answered HTTP {status}. Check sources.comagic.base_url; if it is right, "
                "the service is out of order: run again later."
            ) from None
        except RequestException as error:
            raise UnreachableError(
                f"{method}: {self.base_url} cannot be reached ({_reason(error)}). "
                "Check sources.comagic.base_url and the network."
            ) from None
        finally:
            self.usage.seconds += time.perf_counter() - began
        if answer.status_code != HTTPStatus.OK:
            raise UnreachableError(
                f"{method}: {self.base_url} answered HTTP {answer.status_code}, which the API does not do. "
                "Check sources.comagic.base_url."
            )
        return answer.content

    def _wait(self, seconds: float) -> None:
        self.usage.seconds += seconds
        self._sleep(seconds)

    def _day_is_spent(self, spent: LimitExceededError) -> bool:
        return spent.kind == "day" or self.usage.limits.get("day_remaining") == 0

    def _minute_reset(self) -> float:
        """Seconds until the minute's points are renewed, a second to spare."""
        reset = self.usage.limits.get("minute_reset")
        return (float(reset) if isinstance(reset, (int, float)) and 0 <= reset <= MINUTE_WAIT else MINUTE_WAIT) + 1


@with_config(sections=("sources", "comagic"))
def open_client(
    credentials: Union[KeyCredentials, LoginCredentials] = dlt.secrets.value,
    base_url: str = BASE_URL,
    user_id: Optional[int] = None,
) -> DataApiClient:
    """Makes a client from the same settings as the source's, injected by dlt.

    Args:
        credentials: `sources.comagic.credentials`.
        base_url: `sources.comagic.base_url`.
        user_id: `sources.comagic.user_id`.
    """
    return DataApiClient(credentials, base_url, user_id)


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
