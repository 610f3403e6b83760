"""The Data API's client: JSON-RPC 2.0 over HTTPS.

There is one way to make a call. It returns what the API documents (`comagic.api.responses`) or raises one of
`comagic.exceptions`, where the table of rules says what is done about each error:

| action | where |
| --- | --- |
| retry | `_exchange`, by tenacity; each request is a single one to `transport` |
| login | `_call_in_session` |
| wait | `_call`, after an exhausted quota; `RateLimiter.pace` before a request, to avoid that |

Shapes of requests and responses: the vendor's manual of the Data API v2.0; `comagic/sandbox` is a server of them.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, TypeVar

from dlt.common import logger
from dlt.common.configuration import resolve_configuration
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.common.json import json
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from ..exceptions import (
    Action,
    ComagicError,
    ConfigurationError,
    LimitExceededError,
    OverloadedError,
    RequestError,
    UnreachableError,
)
from ..redaction import remember_secret
from .brands import BASE_URL, checked_base_url, manual_of
from .credentials import Credentials, KeyCredentials
from .deadline import Deadline
from .prefetch import Decoder, Following, Planned, Prefetcher, Prepared, Sent
from .rate_limit import LONG_SPANS, RateLimiter, Usage
from .responses import (
    Account,
    Page,
    Result,
    check_share,
    decode,
    parse_account,
    parse_limits,
    parse_object,
    parse_page,
    parse_result,
    parse_token,
)
from .transport import Exchange, Transport

MAX_LIMIT = 10_000
"""Rows of one response, at most (vendor's manual)."""
MAX_OFFSET = 100_000
"""Rows that can be skipped, at most (vendor's manual)."""
MAX_QUERY_ROWS = MAX_OFFSET + MAX_LIMIT
"""Rows that one query can reach."""

MAX_MINUTE_WAITS = 5
"""How often one call waits for the minute's quota: others may be using it up, but not for ever."""

NO_CREDENTIALS = (
    "No credentials are configured. Set sources.comagic.credentials.access_token, or "
    "sources.comagic.credentials.login and .password, in .dlt/secrets.toml (see .dlt/example.secrets.toml) or in the "
    "environment (SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN). To try without an account: "
    "python comagic_pipeline.py --demo"
)

Parsed = TypeVar("Parsed")
Parse = Callable[[str, Result], Parsed]


class DataApiClient:
    """Calls methods of the Data API for one account.

    Args:
        credentials: a key, or login and password.
        base_url: the brand's endpoint.
        user_id: id of a client of an agency, sent with every call; only for agency logins.
        deadline: the time limit, and how to wait; by default no limit.
        usage: where calls are counted.
        trusted_hosts: see `checked_base_url`.
        concurrency: requests in flight at once, at most; see `read_ahead`.

    Attributes:
        usage: what was requested so far, and what is left of the quotas.
        deadline: the time limit.
        manual: which manual the endpoint's brand has; empty if the endpoint is none of the brands'.
        left_out: fields that the API did not accept, by method; they are not requested again.

    Raises:
        ConfigurationError: there are no credentials, or `base_url` is not an acceptable URL.
    """

    def __init__(
        self,
        credentials: Credentials,
        base_url: str = BASE_URL,
        user_id: int | None = None,
        deadline: Deadline | None = None,
        usage: Usage | None = None,
        trusted_hosts: Collection[str] = (),
        concurrency: int = 1,
    ) -> None:
        self.base_url = checked_base_url(base_url, trusted_hosts)
        self.manual = manual_of(self.base_url)
        if not (credentials.access_token if isinstance(credentials, KeyCredentials) else credentials.login):
            raise ConfigurationError(NO_CREDENTIALS)
        self.usage = usage or Usage()
        self.deadline = deadline or Deadline()
        self._client_params = {} if user_id is None else {"user_id": user_id}
        self._limiter = RateLimiter(self.usage, self.deadline)
        self._token: str | None = None
        self._login: dict[str, str] | None = None
        if isinstance(credentials, KeyCredentials):
            self._token = credentials.access_token
        else:
            self._login = {"login": credentials.login, "password": credentials.password}
            remember_secret(credentials.password)
        remember_secret(self._token)
        self._ids = count(1)
        self._share = 0.0
        self._accounts: dict[int | None, Account] = {}
        self.left_out: dict[str, list[str]] = {}
        self._unsorted: set[str] = set()
        runtime = resolve_configuration(RuntimeConfiguration())
        self._max_pause = float(runtime.request_max_retry_delay)
        self._backoff = wait_exponential(multiplier=runtime.request_backoff_factor, max=self._max_pause)
        connect = partial(Transport, self.base_url, float(runtime.request_timeout))
        self._transport = connect()
        has_room, clock = self._limiter.has_room, self.deadline.now
        self._ahead = Prefetcher(concurrency, has_room, self._prepare, connect, self._max_pause, clock)
        self._retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, ComagicError) and error.action is Action.RETRY),
            stop=stop_after_attempt(runtime.request_max_attempts),
            wait=self._pause,
            sleep=self._limiter.wait,
            reraise=True,
        )

    def account(self, user_id: int | None = None) -> Account:
        """Returns the account; it is requested once.

        Args:
            user_id: client of an agency; default: the one that is sent with every call, if any.
        """
        if user_id not in self._accounts:
            params = {} if user_id is None else {"user_id": user_id}
            self._accounts[user_id] = self._call("get.account", params, parse_account)
        return self._accounts[user_id]

    def page(
        self,
        method: str,
        offset: int,
        limit: int = MAX_LIMIT,
        most: float = 1.0,
        needed: Collection[str] = (),
        **params: Any,
    ) -> Page:
        """Calls a method that returns rows, for one page of them.

        A field that the API does not accept is left out, and the request is made again: see `left_out`. So is an order
        by a field that is not needed; the reader sees if pages then do not join.

        Args:
            method: for example `get.calls_report`.
            offset: rows to skip, at most 100,000.
            limit: rows to return, at most 10,000.
            most: how large the page may be, as a share of the largest that is read.
            needed: fields without which the rows are of no use.
            **params: further parameters of the method.

        Raises:
            ApiError: the API returned an error; the subclass says which.
            BadResponseError: the response is not what the API documents, after all attempts.
            UnreachableError: no connection or no response in time, after all attempts.
            TooLargeError: the page is larger.
            LimitExceededError: the day's or hour's quota is exhausted, or other clients use up the minute's.
            DeadlineError: there is no time left to request or to wait.
        """
        parse: Parse[Page] = partial(parse_page, limit=limit)
        while True:
            left_out = self.left_out.setdefault(method, [])
            asked = {**self._accepted(method, params), "offset": offset, "limit": limit}
            try:
                page = self._call(method, asked, parse, most)
            except RequestError as error:
                order = {key["field"] for key in asked.get("sort", ())}
                if error.is_about_order and needed and order and not order & set(needed):
                    self._unsorted.add(method)
                    continue
                if not (refused := error.names_fields(set(asked.get("fields", ())) - set(needed))):
                    raise
                left_out += refused
                continue
            return replace(page, share=self._share)

    def read_ahead(
        self,
        method: str,
        queries: Iterable[Planned],
        following: Following,
        decoder: Decoder | None = None,
    ) -> None:
        """Plans which pages will be asked for next: they are requested while earlier ones are loaded.

        `page` returns them, or raises their errors, as if they had been requested by it. Nothing is requested before
        its turn unless the limits of the last response leave room, and nothing with `concurrency` 1.

        Args:
            method: for example `get.calls_report`.
            queries: queries in the order in which their pages will be asked for.
            following: see `Following`; what it names will be asked for, after None nothing more is.
            decoder: decodes responses before their turn.
        """
        own = self._client_params
        accepted = (Planned({**own, **self._accepted(method, query.params)}, query.offsets) for query in queries)
        self._count(method, self._ahead.plan(method, accepted, MAX_LIMIT, following, decoder))

    def _accepted(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters without the fields that the API did not accept, and without an order by one of them."""
        left_out = self.left_out.get(method)
        accepted = dict(params)
        if left_out and "fields" in params:
            accepted["fields"] = [name for name in params["fields"] if name not in left_out]
        if method in self._unsorted or any(key["field"] in (left_out or ()) for key in params.get("sort", ())):
            accepted.pop("sort", None)
        return accepted

    def object_rows(self, method: str, rows_in: str, fields: Collection[str], **params: Any) -> Page:
        """Calls a method that returns an object with a list of rows, all of them at once.

        Args:
            method: for example `getobj.goals_tree`.
            rows_in: name of the list.
            fields: fields of the rows; the object may have some of them.
            **params: parameters of the method.

        Raises:
            ApiError, BadResponseError, UnreachableError, TooLargeError, DeadlineError: see `page`.
        """
        page = self._call(method, params, partial(parse_object, rows_in=rows_in, fields=fields))
        return replace(page, share=self._share)

    def _call(self, method: str, params: Mapping[str, Any], parse: Parse[Parsed], most: float = 1.0) -> Parsed:
        """Calls a method and returns its parsed result; waits for the minute's quota if need be."""
        for _ in range(MAX_MINUTE_WAITS):
            try:
                return self._call_in_session(method, params, parse, most)
            except LimitExceededError as exceeded:
                if exceeded.kind != "minute" or 0 in (self.usage.limit(f"{span}_remaining") for span in LONG_SPANS):
                    raise
                self._limiter.wait_for_reset()
        return self._call_in_session(method, params, parse, most)

    def _call_in_session(self, method: str, params: Mapping[str, Any], parse: Parse[Parsed], most: float) -> Parsed:
        """Makes the call; if the session has expired, logs in once and makes it again.

        Nobody else logs in, and what was read ahead with the old session is dropped: so one login serves all.
        """
        is_new_session = self._token is None
        try:
            return self._exchange(method, {**self._common_params(), **params}, parse, most)
        except ComagicError as error:
            if error.action is not Action.LOGIN or is_new_session or self._login is None:
                raise
        self._token = None
        return self._exchange(method, {**self._common_params(), **params}, parse, most)

    def _common_params(self) -> dict[str, Any]:
        """The parameters of every call; opens a session if there is none."""
        if self._token is None:
            self._token = self._exchange("login.user", self._login or {}, parse_token)
            remember_secret(self._token)
        return {"access_token": self._token, **self._client_params}

    def _exchange(self, method: str, params: Mapping[str, Any], parse: Parse[Parsed], most: float = 1.0) -> Parsed:
        """Sends a request and parses the response; retries transient errors."""
        parsed: Parsed = self._retrying(self._exchange_once, method, params, parse, most)
        return parsed

    def _exchange_once(self, method: str, params: Mapping[str, Any], parse: Parse[Parsed], most: float) -> Parsed:
        """Makes one request, or takes the response of one that was made before its turn.

        Neither body ever reaches a log: the request carries the credentials.
        """
        try:
            exchange, sent = self._receive(method, params)
            self.usage.note_clock(exchange.headers.get("Date"), sent.received)
            size = exchange.size
            if exchange.decoded:
                check_share(method, exchange.decoded.share, most)
            response, repairs, self._share = exchange.decoded or decode(method, exchange.body, most)
            del exchange
            self._count(method)
            self._limiter.note(parse_limits(response), sent.received_at)
            self.usage.repairs += repairs
            parsed = parse(method, parse_result(method, response, sent.request_id))
        except BaseException:
            self._count(method, self._ahead.drop(method, params))
            raise
        self._ahead.finish(method, params, size)
        return parsed

    def _receive(self, method: str, params: Mapping[str, Any]) -> tuple[Exchange, Sent]:
        """The response to a request that was made before its turn, or that is made now."""
        if (sent := self._ahead.find(method, params)) is None:
            self._limiter.pace(self._ahead.outstanding)
            if (quiet := self._ahead.quiet_until - self.deadline.now()) > 0:
                self._limiter.wait(quiet)
        seconds, started = self.deadline.check(), time.perf_counter()
        try:
            if sent is None:
                prepared = self._prepared(method, params, seconds)
                sent = Sent(prepared.request_id)
                sent.end(self._transport.post(method, prepared.body, prepared.seconds), None, self.deadline.now())
            return sent.wait(seconds), sent
        except UnreachableError:
            self.deadline.check()
            raise
        finally:
            self.usage.seconds += time.perf_counter() - started

    def _prepare(self, method: str, params: Mapping[str, Any]) -> Prepared | None:
        """The request of a page that is made before its turn; None if there is no session or no time."""
        seconds = self.deadline.left
        if self._token is None or seconds <= 0:
            return None
        return self._prepared(method, {**self._common_params(), **params}, seconds)

    def _prepared(self, method: str, params: Mapping[str, Any], seconds: float) -> Prepared:
        request_id = next(self._ids)
        request = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        logger.debug(f"Data API call {request_id}: {method}")
        return Prepared(request_id, json.dumpb(request), seconds)

    def _count(self, method: str, requests: int = 1) -> None:
        if requests:
            self.usage.calls[method] = self.usage.calls.get(method, 0) + requests

    def _pause(self, state: RetryCallState) -> float:
        """Seconds before the next attempt: exponential backoff, or what the server asked for if that is longer."""
        error = state.outcome.exception() if state.outcome else None
        retry_after = error.retry_after if isinstance(error, OverloadedError) else 0.0
        return max(self._backoff(state), min(retry_after, self._max_pause))
