"""The two ends of the link that carries parcels: one at a site, one at the centre for each site.

The centre's end asks again until an answer comes, for as long as it has patience; the
site's end answers what is asked twice as it did before. See `nvflare_parcels`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from threading import Condition, Event, Thread
from time import monotonic, sleep
from typing import Final, NamedTuple

from equipoise.errors import RestartedError, TransportError
from equipoise.transports.nvflare_parcels import (
    ENDING,
    Buffer,
    Kind,
    Parcel,
    Part,
    frames_of,
    marked,
    parts,
)

Handle = Callable[[Iterator[bytes]], Iterator[bytes]]
"""What a site does with a message: it takes frames and gives frames."""

POLL: Final = 5.0
"""Seconds for which a site holds a question before it says that there is nothing yet."""

REPLY: Final = 2 * POLL
"""Seconds after which a question is taken to be lost and asked again, twice as many each time.

Twice as many since on a slow link an answer may be under way for that long.
"""

_LONGEST: Final = 60.0
_FAREWELLS: Final = 3
"""How often a site is told that this was all, where it does not say that it heard."""

_SOON: Final = 1.0
"""Seconds for which a site holds a request of one part, for its answer to go with the receipt."""

_SESSIONS: Final = 1000
"""How many earlier sessions a site remembers, so as not to take them up again."""


class _Call(NamedTuple):
    """One exchange at a site: what comes, and what goes."""

    request: Buffer
    answer: Buffer

    def give_up(self) -> None:
        self.request.break_off()
        self.answer.break_off()


class SiteEnd:
    """A site's end of the link: answers the centre's questions, and asks none.

    One exchange is worked on at a time. A new one ends the one before.
    """

    def __init__(self, handle: Handle, poll: float = POLL) -> None:
        """`poll` is for how many seconds a question may be held."""
        self._handle, self._poll = handle, poll
        self._changed = Condition()
        self._session, self._exchange = b"", 0
        self._past: deque[bytes] = deque(maxlen=_SESSIONS)
        self._call: _Call | None = None
        self._due = self._closed = False
        self.ended = Event()
        self._thread = Thread(target=self._work, daemon=True, name="site-work")
        self._thread.start()

    def take(self, data: bytes | bytearray) -> bytes:
        """Return the answer to one question, empty for what is no question."""
        try:
            asked = Parcel.from_bytes(data)
        except ValueError:
            return b""
        return self._answer(asked).to_bytes()

    def close(self, patience: float = 5.0) -> None:
        """Give up the exchange under way, and wait so many seconds for it to end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            if self._call:
                self._call.give_up()
        self._thread.join(patience)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._due or self._closed)
                if self._closed or self._call is None:
                    return
                call, self._due = self._call, False
            call.answer.fill(parts(self._answered(call)), Kind.FINAL, Kind.BROKEN)

    def _answered(self, call: _Call) -> Iterator[bytes]:
        yield from self._handle(frames_of(call.request.stream()))

    def _answer(self, asked: Parcel) -> Parcel:
        if asked.kind is Kind.END:
            return self._end(asked)
        if asked.kind > Kind.END or (call := self._found(asked)) is None:
            return asked.answer(Kind.GONE)
        if asked.kind is not Kind.GET:
            taken = call.request.put(asked.number, asked.kind, asked.body, self._poll)
            kinds = {True: Kind.TAKEN, False: Kind.LATER, None: Kind.GONE}
            whole = taken and asked.number == 0 and asked.kind is Kind.LAST
            return (whole and self._prompt(asked, call)) or asked.answer(kinds[taken])
        try:
            found = call.answer.get(asked.number, self._poll)
        except TransportError:
            return asked.answer(Kind.GONE)
        return _given(asked, found) if found else asked.answer(Kind.LATER)

    def _prompt(self, asked: Parcel, call: _Call) -> Parcel | None:
        """Return the first part of the answer to a request of one part, if that comes soon.

        So most exchanges take one question, and not a second one that asks for the answer.
        """
        try:
            found = call.answer.get(0, min(self._poll, _SOON))
        except TransportError:
            return None
        return _given(asked, found) if found else None

    def _found(self, asked: Parcel) -> _Call | None:
        """Return the exchange that a question belongs to, begun where it is a new one."""
        with self._changed:
            if (asked.session, asked.exchange) == (self._session, self._exchange):
                return self._call
            old = asked.session == self._session and asked.exchange < self._exchange
            begins = asked.kind is not Kind.GET and asked.number == 0
            if old or asked.session in self._past or not begins or self._closed:
                return None
            if self._call:
                self._call.give_up()
            if asked.session != self._session:
                self._past.append(self._session)
            self._session, self._exchange = asked.session, asked.exchange
            self._call, self._due = _Call(Buffer(), Buffer()), True
            self._changed.notify_all()
            return self._call

    def _end(self, asked: Parcel) -> Parcel:
        with self._changed:
            if self._session not in (b"", asked.session):
                return asked.answer(Kind.GONE)
        self.ended.set()
        return asked.answer(Kind.TAKEN)


def _given(asked: Parcel, found: tuple[Kind, Part]) -> Parcel:
    """Return the answer that gives a part of the site's answer."""
    return asked.answer(Kind.GIVEN if found[0] is Kind.PART else found[0], found[1])


Link = Callable[[bytes, float], bytes | bytearray | None]
"""Carries one question to a site; returns its answer, None where none came in so many seconds."""

Heard = Callable[[str], None]
"""Is told what a site is at: `asked`, `at work`, `answering`, `answered`, `silent`, `connected`."""


class CentreEnd:
    """The centre's end of the link to one site."""

    def __init__(self, site: str, link: Link, patience: float, heard: Heard) -> None:
        """`patience` is for how many seconds a site may be silent."""
        self._site, self._link, self._patience, self._heard = site, link, patience, heard
        self._answer = Buffer()

    def begin(self, session: bytes, exchange: int, frames: Iterable[bytes]) -> Iterator[bytes]:
        """Send a request, fetch its answer ahead, and return it as it comes."""
        self._answer = Buffer()
        own = self._answer, Parcel(Kind.PART, session, exchange, 0), frames
        Thread(target=self._send, args=own, daemon=True).start()
        return frames_of(self._answer.stream())

    def give_up(self) -> None:
        """Let go of the exchange under way."""
        self._answer.break_off()

    def end(self, session: bytes, exchange: int) -> None:
        """Tell the site that there will be no more exchanges, a few times where it says nothing."""
        ended = Parcel(Kind.END, session, exchange, 0)
        for _ in range(_FAREWELLS):
            if _reply(self._link(ended.to_bytes(), REPLY / 2), ended):
                return

    def _send(self, answer: Buffer, first: Parcel, frames: Iterable[bytes]) -> None:
        """Hand the request over; what came of its first part begins the answer."""
        self._heard("asked")
        try:
            for number, (kind, body) in enumerate(marked(parts(frames), Kind.LAST, Kind.CUT)):
                parcel = first._replace(kind=kind, number=number, body=body)
                while (got := self._ask(answer, parcel)).kind is Kind.LATER:
                    pass
                if number == 0 and kind is Kind.PART:  # the answer may come before the rest went
                    Thread(target=self._fetch, args=(answer, first), daemon=True).start()
                elif number == 0:
                    self._fetch(answer, first, got)
        except TransportError as error:
            answer.break_off(error)

    def _fetch(self, answer: Buffer, first: Parcel, got: Parcel | None = None) -> None:
        """Fetch the answer, from what was `got` of it already."""
        number, said = 0, ""
        try:
            while True:
                if got is None or got.kind in (Kind.TAKEN, Kind.LATER):
                    got = self._ask(answer, first._replace(kind=Kind.GET, number=number))
                now = "at work" if got.kind is Kind.LATER else "answering"
                if now != said:
                    self._heard(now)
                said = now
                if got.kind is Kind.LATER:
                    continue
                kind = Kind.PART if got.kind is Kind.GIVEN else got.kind
                if not answer.put(number, kind, got.body, None):
                    return
                if kind in ENDING:
                    self._heard("answered")
                    return
                number, got = number + 1, None
        except TransportError as error:
            answer.break_off(error)

    def _ask(self, answer: Buffer, asked: Parcel) -> Parcel:
        """Ask until an answer comes; TransportError where none does, RestartedError for `GONE`."""
        data, began, wait, reply, silent = asked.to_bytes(), monotonic(), 0.05, REPLY, False
        while not answer.broken:
            sent = monotonic()
            got = _reply(self._link(data, reply), asked)
            if got and got.kind is Kind.GONE and not answer.broken:
                raise RestartedError(
                    f"site {self._site} does not know the message under way: it was restarted,"
                    " or another coordinator has taken its place"
                )
            if got:
                if silent:
                    self._heard("connected")
                return got
            now = monotonic()
            if now - sent >= reply:  # not one that could not be sent, or whose connection broke
                reply, silent = min(2 * reply, _LONGEST), True
            if silent := silent or wait > 1:
                self._heard("silent")
            if now - began > self._patience:
                raise TransportError(
                    f"site {self._site} gave no answer for {self._patience:g} seconds;"
                    " see whether its process runs and the network lets it through"
                )
            sleep(min(wait, 2.0))
            wait *= 2
        raise TransportError("given up")


def _reply(data: bytes | bytearray | None, asked: Parcel) -> Parcel | None:
    """Return the answer to this question, None for anything else."""
    try:
        got = Parcel.from_bytes(data or b"")
    except ValueError:
        return None
    return got if got.kind > Kind.END and got[1:4] == asked[1:4] else None
