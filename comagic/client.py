"""The Data API's client: JSON-RPC 2.0 over HTTPS, on dlt's retrying requests session.

There is one way to make a call, `DataApiClient.call`, and it either returns what the API documents or raises one of
`comagic.exceptions`. Who retries what:

| what happens | who meets it | how |
| --- | --- | --- |
| no connection, timeout, reset, cut body, HTTP 429, 5xx | dlt's session | 5 attempts (`[runtime] request_*`) |
| other HTTP status, redirect | nobody | raised at once |
| no JSON, wrong id, no `result`, `internal_error` | `call` | the same number of attempts and pauses |
| minute's points spent | `call` | waits `minute_reset`, at most `MAX_MINUTE_WAITS` times in a row |
| session ended (login and password only) | `call` | one new login, the same call again |
| everything else | nobody | raised at once: a person has to mend it |

Shapes of requests and answers: the vendor's manual of the Data API v2.0; see `comagic/sandbox` for a server of them.
"""

import ipaddress
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Union
from urllib.parse import urlsplit

import dlt
from dlt.common import logger
from dlt.common.configuration import resolve_configuration, with_config
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.common.json import json
from dlt.sources.helpers import requests
from requests.exceptions import HTTPError, RequestException
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from comagic.credentials import Credentials, KeyCredentials, LoginCredentials
from comagic.exceptions import (
    ApiError,
    BadAnswerError,
    ConfigurationError,
    InternalError,
    LimitExceededError,
    TokenExpiredError,
    TokenInvalidError,
    UnreachableError,
    api_error,
)
from comagic.settings import BASE_URL, CONNECT_TIMEOUT, MAX_LIMIT, MAX_MINUTE_WAITS, MAX_OFFSET, MINUTE_WAIT, NO_ACCESS


@dataclass
class Account:
    """The account, as `get.account` tells it.

    Attributes:
        app_id: id of the account; missing in some answers.
        name: name of the account.
        timezone: IANA name of the zone of all times in requests and answers.
    """

    app_id: Optional[int]
    name: str
    timezone: str


@dataclass
class Page:
    """One answer of a method that returns rows.

    Attributes:
        rows: the rows, as they came.
        total: rows of the whole query, before `limit` and `offset`, at the time of this answer.
    """

    rows: List[Dict[str, Any]]
    total: int


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
        self._access_of_login: Optional[Dict[str, str]] = None
        if isinstance(credentials, KeyCredentials):
            self._token = credentials.access_token
        else:
            self._access_of_login = {"login": credentials.login, "password": credentials.password}
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
            sleep=sleep,
            reraise=True,
        )

    def call(self, method: str, **params: Any) -> Dict[str, Any]:
        """Calls a method and returns the answer's `result`.

        Args:
            method: for example `get.calls_report`.
            **params: the method's parameters; the access and `user_id` are added.

        Raises:
            ApiError: the API answered with an error; the subclass tells which.
            BadAnswerError: answers were not what the API documents, however often asked.
            UnreachableError: no connection or no answer in time, however often asked.
        """
        began = time.perf_counter()
        try:
            for _ in range(MAX_MINUTE_WAITS):
                try:
                    return self._call_in_session(method, params)
                except LimitExceededError as spent:
                    if self._day_is_spent(spent):
                        raise
                    self._sleep(self._minute_reset())
            return self._call_in_session(method, params)
        finally:
            self.usage.seconds += time.perf_counter() - began

    def page(self, method: str, offset: int, limit: int = MAX_LIMIT, **params: Any) -> Page:
        """Calls a method that returns rows, for one page of them.

        Args:
            method: for example `get.calls_report`.
            offset: rows to skip, at most 100,000.
            limit: rows to return, at most 10,000.
            **params: further parameters of the method.
        """
        return self._retrying(self._page, method, {**params, "offset": min(offset, MAX_OFFSET), "limit": limit})

    def account(self) -> Account:
        """The account, asked for once.

        Raises:
            BadAnswerError: the answer names no account with a time zone.
        """
        if self._account is None:
            rows = self.call("get.account")["data"]
            if not (isinstance(rows, list) and rows and isinstance(rows[0], dict) and rows[0].get("timezone")):
                raise BadAnswerError(
                    "get.account: the answer names no account with a time zone; set sources.comagic.timezone."
                )
            self._account = Account(rows[0].get("app_id"), str(rows[0].get("name") or ""), str(rows[0]["timezone"]))
        return self._account

    def _page(self, method: str, params: Mapping[str, Any]) -> Page:
        result = self.call(method, **params)
        rows, metadata = result["data"], result.get("metadata")
        total = metadata.get("total_items") if isinstance(metadata, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise BadAnswerError(f"{method}: the answer's data is not a list of rows.")
        if not isinstance(total, int) or isinstance(total, bool) or total < 0:
            raise BadAnswerError(f"{method}: the answer does not say how many rows there are (metadata.total_items).")
        return Page(rows, total)

    def _call_in_session(self, method: str, params: Mapping[str, Any]) -> Dict[str, Any]:
        """Makes the call; where a session has ended, logs in once and makes it again."""
        fresh = self._token is None
        try:
            return self._retrying(
                self._exchange, method, {"access_token": self._access_token(), **self._agency(), **params}
            )
        except (TokenInvalidError, TokenExpiredError):
            if fresh or self._access_of_login is None:
                raise
            self._token = None
        return self._retrying(
            self._exchange, method, {"access_token": self._access_token(), **self._agency(), **params}
        )

    def _agency(self) -> Dict[str, Any]:
        return {} if self._user_id is None else {"user_id": self._user_id}

    def _access_token(self) -> str:
        if self._token is None:
            access = self._access_of_login or {}
            data = self._retrying(self._exchange, "login.user", access)["data"]
            token = data.get("access_token") if isinstance(data, dict) else None
            if not isinstance(token, str) or not token:
                raise BadAnswerError("login.user: the answer has no access_token.")
            self._token = token
        return self._token

    def _exchange(self, method: str, params: Mapping[str, Any]) -> Dict[str, Any]:
        """One request and its answer's `result`. Neither ever reaches a log: the request carries the access."""
        sent_id = next(self._ids)
        request = {"jsonrpc": "2.0", "id": sent_id, "method": method, "params": params}
        logger.debug(f"Data API call {sent_id}: {method}")
        answer = self._decoded(method, self._posted(method, json.dumpb(request)))
        self.usage.calls[method] = self.usage.calls.get(method, 0) + 1
        if answer.get("error") is not None:
            raise self._noted(api_error(method, answer["error"]))
        if answer.get("id") != sent_id:
            raise BadAnswerError(f"{method}: the answer belongs to another call (id {answer.get('id')!r}).")
        result = answer.get("result")
        if not isinstance(result, dict) or "data" not in result:
            raise BadAnswerError(f"{method}: the answer has neither an error nor a result with data.")
        self._note_limits(result.get("metadata"))
        return result

    def _posted(self, method: str, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json; charset=UTF-8", "User-Agent": "comagic-dlt"}
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
        if answer.status_code != HTTPStatus.OK:
            raise UnreachableError(
                f"{method}: {self.base_url} answered HTTP {answer.status_code}, which the API does not do. "
                "Check sources.comagic.base_url."
            )
        return answer.content

    @staticmethod
    def _decoded(method: str, body: bytes) -> Dict[str, Any]:
        try:
            answer = json.loadb(body)
        except ValueError:
            raise BadAnswerError(
                f"{method}: the answer is not JSON ({len(body)} bytes, beginning {body[:40]!r}). "
                "Check sources.comagic.base_url; if it is right, the service is out of order: run again later."
            ) from None
        if not isinstance(answer, dict):
            raise BadAnswerError(f"{method}: the answer is not a JSON-RPC object.")
        return answer

    def _noted(self, error: ApiError) -> ApiError:
        self._note_limits(error.details.get("metadata"))
        return error

    def _note_limits(self, metadata: Any) -> None:
        limits = metadata.get("limits") if isinstance(metadata, dict) else None
        if isinstance(limits, dict):
            self.usage.limits = limits

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


def checked_base_url(base_url: str) -> str:
    """Returns the endpoint without a trailing slash.

    Raises:
        ConfigurationError: it is not an `https` address; plain `http` is accepted for this machine only.
    """
    name = "sources.comagic.base_url"
    try:
        parts = urlsplit(base_url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"{name}: {base_url!r} is not an address: {error}.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(f"{name}: {base_url!r} is not an address such as {BASE_URL}")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError(f"{name}: {base_url!r} would send your access in the clear; use https.")
    return base_url.strip().rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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


def iterate_pages(client: DataApiClient, method: str, overlap: int, **params: Any) -> Iterator[Page]:
    """Pages through a query by offset until its rows end.

    Args:
        client: the client.
        method: a method that returns rows.
        overlap: rows of the previous page to ask for again, so that a shift between two answers can be seen.
        **params: further parameters of the method.

    Yields:
        Pages; each but the first begins with the overlap. The last one reaches the total, or brings nothing beyond the
        overlap whatever the total says, or is the last that the API's ceiling of offsets allows.
    """
    offset, repeated = 0, 0
    while True:
        page = client.page(method, offset, **params)
        yield page
        reached = offset + len(page.rows)
        if len(page.rows) <= repeated or reached >= page.total or offset >= MAX_OFFSET:
            return
        offset = min(reached - overlap, MAX_OFFSET)
        repeated = reached - offset
