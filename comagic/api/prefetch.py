"""Requests that are made before their turn, so that the next pages travel while the last one is loaded.

Only bytes are read ahead, by a thread for each request in flight. What a response means is decided when its turn comes,
by the client, as if it had just arrived: order, retries, waits and logins are those of one request after another. After
an error all that was read ahead is dropped, since it may have the same cause.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from heapq import heappop, heappush
from itertools import chain
from threading import Event, Lock, RLock, Thread
from typing import Any, Protocol

from dlt.common.json import json

from ..exceptions import OverloadedError, UnreachableError
from .responses import Decoded
from .transport import MAX_SECONDS, Exchange, Transport

AHEAD_BYTES = 96 * 2**20
"""Bytes of responses that may wait for their turn: eight pages of the 2019 article's 31 fields."""
AHEAD_ROUNDS = 3
"""How many times the requests in flight may wait for their turn: what is dropped after an error was in vain."""
DECODING_SECONDS = 30.0
"""Seconds after which a response is decoded here although another process was to do it: that one stands still."""
TOTAL = re.compile(rb'"total_items"\s*:\s*(\d{1,12})\b')
"""Rows of a query, as its response says; only to guess which pages follow."""
TAIL = 4096
"""Bytes at the end of a body in which the total is looked for."""

Params = Mapping[str, Any]
Following = Callable[[int], Iterable[int] | None]
"""Offsets of the pages after the first, by the rows of a query; None if other queries will take its place."""


@dataclass(frozen=True)
class Planned:
    """A query whose pages will be asked for.

    Attributes:
        params: parameters of its method, without offset and limit.
        offsets: the pages that are known to be asked for.
    """

    params: Params
    offsets: Iterable[int] = (0,)


@dataclass(frozen=True, order=True)
class Asked:
    """A request that will be made; they are ordered by their turn.

    Attributes:
        turn: number of the query in the plan.
        offset: offset of the page.
        method: the method.
        query: its parameters, without offset and limit, and those of every request.
        limit: rows of a page.
    """

    turn: int
    offset: int
    method: str = field(compare=False)
    query: Params = field(compare=False)
    limit: int = field(compare=False)

    @cached_property
    def params(self) -> Params:
        """The parameters, without those of every request."""
        return {**self.query, "offset": self.offset, "limit": self.limit}

    @cached_property
    def key(self) -> bytes:
        """What the request is recognized by."""
        return _key(self.method, self.params)


class Decoder(Protocol):
    """Decodes responses, in another process."""

    @property
    def is_ready(self) -> bool:
        """Whether it can be given one."""

    def __call__(self, body: bytes | bytearray) -> Decoded | None:
        """Decodes a response; None if that has to be done without it."""


@dataclass
class Sent:
    """A request that was sent.

    Attributes:
        request_id: its id.
        query: parameters of its query, if it was planned.
        exchange: the response.
        error: why there is none.
        received_at: when it ended, by the clock for waiting.
        received: when it ended, by the clock on the wall.
        total: rows of the query, as far as can be guessed before its turn.
        is_first: whether it is for the first page of a query.
        done: set at its end.
        is_taken: whether somebody decodes the response, or will.
        decoding: set when another process has decoded it; None if none does.
    """

    request_id: int
    query: Params | None = None
    exchange: Exchange | None = None
    error: BaseException | None = None
    received_at: float = 0.0
    received: datetime | None = None
    total: int | None = None
    is_first: bool = False
    done: Event = field(default_factory=Event)
    is_taken: bool = False
    decoding: Event | None = None

    @property
    def size(self) -> int:
        """Bytes of the response."""
        return self.exchange.size if self.exchange else 0

    def end(self, exchange: Exchange | None, error: BaseException | None, now: float) -> None:
        """Takes its end."""
        self.exchange, self.error, self.received_at, self.received = exchange, error, now, datetime.now(UTC)
        self.done.set()

    def decode(self, decoder: Decoder) -> None:
        """Has the response decoded, before its turn."""
        try:
            if (exchange := self.exchange) and (decoded := decoder(exchange.body)):
                self.exchange = replace(exchange, body=b"", decoded=decoded)
        finally:
            if self.decoding:
                self.decoding.set()

    def wait(self, seconds: float) -> Exchange:
        """Waits for the response, and returns it; it is not kept.

        Raises:
            ComagicError: why there is none.
        """
        self.done.wait(min(seconds, MAX_SECONDS))
        if self.decoding:
            self.decoding.wait(min(seconds, DECODING_SECONDS))
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            raise self.error or UnreachableError("no response in time")
        return exchange


@dataclass(frozen=True)
class Prepared:
    """A request as it is sent.

    Attributes:
        request_id: its id.
        body: its body, with the credentials.
        seconds: how long it may take at most.
    """

    request_id: int
    body: bytes
    seconds: float


class Prefetcher:
    """Makes planned requests before their turn, several at once.

    Args:
        concurrency: requests in flight at once, at most; with 1, nothing is read ahead.
        has_room: whether the quota has room for another request, with so many that it does not know of.
        prepare: makes the request of a page; None if there is no session or no time.
        connect: opens a connection.
        max_pause: seconds that a server can ask to wait, at most.
        now: the clock for waiting.

    Attributes:
        quiet_until: before that, by the clock for waiting, the API wants no request.
    """

    def __init__(
        self,
        concurrency: int,
        has_room: Callable[[int], bool],
        prepare: Callable[[str, Params], Prepared | None],
        connect: Callable[[], Transport],
        max_pause: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._concurrency = concurrency
        self._has_room, self._prepare, self._connect, self._now = has_room, prepare, connect, now
        self._max_pause = max_pause
        self._lock = RLock()
        self.quiet_until = 0.0
        self._reading: Params | None = None
        self._plan: Iterator[Asked] = iter(())
        self._next: list[Asked] = []
        self._following: Following = lambda _: ()
        self._entries: dict[bytes, Sent] = {}
        self._turns: dict[bytes, Asked] = {}
        self._asked: set[bytes] = set()
        self._idle: list[Transport] = []
        self._size = self._running = self._pages = 0
        self._is_held = False
        self._decoder: Decoder | None = None
        self._decoding = Lock()

    @property
    def outstanding(self) -> int:
        """Requests that were made and of which nobody has seen the response."""
        return len(self._entries)

    def plan(
        self,
        method: str,
        queries: Iterable[Planned],
        limit: int,
        following: Following,
        decoder: Decoder | None = None,
    ) -> int:
        """Takes what will be asked for next; it replaces what was planned before and is not in flight yet.

        The first query of a plan is being read; when there is another plan, it has been. Pages of it that nobody asked
        for, since it had fewer rows than its first page said, are dropped: the next reading must not get them.

        Args:
            method: the method.
            queries: queries in the order in which they will be asked for; looked at only as they are needed.
            limit: rows of a page.
            following: see `Following`.
            decoder: decodes responses before their turn.

        Returns:
            How many requests were dropped.
        """
        if self._concurrency == 1:
            return 0
        with self._lock:
            stale = [key for key, entry in self._entries.items() if entry.query == self._reading]
            for key in stale:
                del self._entries[key]
            self._is_held = any(entry.error for entry in self._entries.values())
            planned = (
                (query, [Asked(turn, offset, method, query.params, limit) for offset in query.offsets])
                for turn, query in enumerate(queries)
            )
            reading, self._next = next(planned, (Planned({}), []))
            self._reading = reading.params
            self._plan = chain.from_iterable(asked for _, asked in planned)
            self._asked.clear()
            self._turns.clear()
            self._following, self._decoder = following, decoder
            self._start()
            return len(stale)

    def find(self, method: str, params: Params) -> Sent | None:
        """The request for a page if it was made before its turn; None if it was not, and now it will not be.

        Args:
            method: the method.
            params: parameters of the request.
        """
        if self._concurrency == 1:
            return None
        key = _key(method, params)
        with self._lock:
            self._asked.add(key)
            if entry := self._entries.get(key):
                entry.is_taken = True
            return entry

    def finish(self, method: str, params: Params, size: int) -> None:
        """Takes that the response of a page was good: more can be requested.

        Args:
            method: the method.
            params: parameters of the request.
            size: bytes of the response.
        """
        if self._concurrency == 1:
            return
        with self._lock:
            self._entries.pop(_key(method, params), None)
            self._size = max(self._size, size)
            self._start()

    def drop(self, method: str, params: Params) -> int:
        """Drops the plan and all that was read ahead, after an error; returns how many other requests there were.

        Args:
            method: the method.
            params: parameters of that request.
        """
        with self._lock:
            self._entries.pop(_key(method, params), None)
            dropped = len(self._entries)
            self._entries.clear()
            self._plan = iter(())
            self._next.clear()
            self._is_held = False
            return dropped

    def _start(self) -> None:
        """Starts as many of the planned requests as there is room for."""
        while not self._is_held and self._may_start() and (asked := self._next_asked()):
            prepared = self._prepare(asked.method, asked.params)
            if prepared is None:
                heappush(self._next, asked)
                return
            entry = Sent(prepared.request_id, asked.query, is_first=asked.offset == 0)
            try:
                Thread(target=self._fetch, args=(asked, prepared, entry), daemon=True).start()
            except RuntimeError:  # the system has no more threads: it is requested in its turn
                heappush(self._next, asked)
                return
            self._entries[asked.key] = entry
            self._asked.add(asked.key)
            self._running += 1

    def _may_start(self) -> bool:
        if self._now() < self.quiet_until:
            return False
        held = sum(entry.size for entry in self._entries.values())
        is_small = held + (self._running + 1) * self._size <= AHEAD_BYTES
        return self._running < self._concurrency and is_small and self._has_room(self.outstanding)

    def _next_asked(self) -> Asked | None:
        """The next request to make; those of a query whose first page is there come before those of later queries."""
        while asked := self._pop():
            entry = self._entries.get(asked.key)
            self._turns[asked.key] = asked
            if entry and entry.total is not None:
                self._follow(asked, entry.total)
            if entry is not None or asked.key in self._asked:
                continue
            # Its pages are not known yet; it is taken to have as many as the last query.
            expected = self._pages * sum(not entry.done.is_set() for entry in self._entries.values() if entry.is_first)
            if self.outstanding + expected < AHEAD_ROUNDS * self._concurrency:
                return asked
            heappush(self._next, asked)
            return None
        return None

    def _pop(self) -> Asked | None:
        """The next request of the plan; the first page of the next query comes early: it tells which pages follow."""
        is_asked = any(entry.is_first and not entry.is_taken for entry in self._entries.values())
        is_known = is_asked or any(asked.offset == 0 for asked in self._next)
        first = None if self._next and is_known else next(self._plan, None)
        return first or (heappop(self._next) if self._next else None)

    def _follow(self, asked: Asked, total: int) -> None:
        if asked.offset == 0:
            offsets = self._following(total)
            if offsets is None:
                self._plan = iter(())
            pages = list(offsets or ())
            self._pages = len(pages)
            for offset in pages:
                heappush(self._next, replace(asked, offset=offset))

    def _fetch(self, asked: Asked, prepared: Prepared, entry: Sent) -> None:
        transport = exchange = reason = None
        try:
            with self._lock:
                transport = self._idle.pop() if self._idle else self._connect()
            exchange = transport.post(asked.method, prepared.body, prepared.seconds)
        except Exception as error:  # raised when its turn comes
            reason = error
        with self._lock:
            if transport:
                self._idle.append(transport)
            if exchange:
                self._size = max(self._size, exchange.size)
            if isinstance(reason, OverloadedError):  # the client waits before its next request, whichever that is
                self.quiet_until = max(self.quiet_until, self._now() + min(reason.retry_after, self._max_pause))
                reason.retry_after = 0.0
            self._running -= 1
            if self._entries.get(asked.key) is entry:
                if exchange is None:
                    self._is_held = True
                elif (total := _total(exchange.body)) is not None:
                    entry.total = total
                    if turn := self._turns.get(asked.key):  # else the plan, which is new, has yet to come to it
                        self._follow(turn, total)
                entry.end(exchange, reason, self._now())
                self._start()
        self._decode_ahead()

    def _decode_ahead(self) -> None:
        """Has responses decoded before their turn, one at a time."""
        decoder = self._decoder
        if decoder and decoder.is_ready and self._decoding.acquire(blocking=False):
            try:
                while entry := self._take():
                    entry.decode(decoder)
            finally:
                self._decoding.release()

    def _take(self) -> Sent | None:
        """The response to decode before its turn: if there is a choice, not the next, which its asker can decode."""
        with self._lock:
            turns = sorted(self._turns.values())
            entries = [entry for turn in turns if (entry := self._entries.get(turn.key)) and not entry.is_taken]
            waiting = [entry for entry in entries[1:] + entries[:1] if entry.exchange]
            if not waiting:
                return None
            waiting[0].is_taken, waiting[0].decoding = True, Event()
            return waiting[0]


def _key(method: str, params: Params) -> bytes:
    return json.dumpb([method, {name: value for name, value in params.items() if name != "access_token"}])


def _total(body: bytes | bytearray) -> int | None:
    found = TOTAL.search(body, max(0, len(body) - TAIL)) or TOTAL.search(body, 0, TAIL)
    return int(found[1]) if found else None
