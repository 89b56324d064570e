"""What the owner's side does with a request, whatever it came by."""

import gzip
import hashlib
import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np

from equipoise.artefacts import pgs_catalog
from equipoise.errors import InputError, RefusedError
from equipoise.protections.score_scheme import Answer, Draw, Model, answer
from equipoise.tools.encrypted_scoring import wire
from equipoise.tools.encrypted_scoring.limits import SHARE, Limits
from equipoise.tools.encrypted_scoring.listing import (
    MOST_WEIGHTS,
    Listing,
    described,
    expected_dosages,
    listing_of,
)
from equipoise.tools.encrypted_scoring.wire import Read

AT_ONCE: Final = 4
"""Requests that are held and computed at a time; each may be as long as the model needs."""


class BusyError(RefusedError):
    """As many requests as may be are being read and computed."""


class Places:
    """Who has a request under way: one a client, and so many in all.

    A client that sends slowly thus keeps one place, and not all of them.
    """

    def __init__(self, most: int = AT_ONCE) -> None:
        """Begin with nobody."""
        self._most, self._held, self._lock = most, set[str](), Lock()

    @contextmanager
    def of(self, client: str) -> Generator[None]:
        """Keep a place for a client; BusyError where there is none."""
        with self._lock:
            if client in self._held or len(self._held) >= self._most:
                raise BusyError(
                    f"a client has one request under way at a time, and this server {self._most}"
                    " in all; ask again in a minute"
                )
            self._held.add(client)
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(client)


def today() -> date:
    """Return the day, in UTC."""
    return datetime.now(UTC).date()


@dataclass(frozen=True, slots=True, eq=False)
class Scorer:
    """A model that is ready to score.

    zipped  its public list
    draw    a cryptographic source; another one in tests of its absence alone
    """

    model: Model = field(repr=False)
    description: dict[str, Any] = field(repr=False)
    zipped: bytes = field(repr=False)
    limits: Limits
    day: Callable[[], date] = today
    draw: Draw = os.urandom
    places: Places = field(default_factory=Places, repr=False)

    @classmethod
    def of(
        cls,
        listing: Listing,
        model: Model,
        counts: Path,
        *,
        per_day: int,
        in_all: int | None = None,
    ) -> "Scorer":
        """Return a scorer; `counts` is the file of limits, `in_all` a tenth of the weights."""
        text = listing.text()
        zipped = gzip.compress(text, 6, mtime=0)
        most = max(model.n_weights // SHARE, 1) if in_all is None else in_all
        digest = hashlib.sha256(text).hexdigest()
        limits = Limits.open(counts, digest, per_day, most)
        return cls(model, described(listing, text, zipped), zipped, limits)

    def describe(self, client: str) -> bytes:
        """Return the description of the model, with how many scores a client may have today."""
        left = self.limits.left(client, self.day())
        return json.dumps({**self.description, "left": left}).encode()

    def score(self, client: str, length: int, read: Read) -> list[Answer]:
        """Return the answers to a request of so many bytes.

        Nothing is computed before all of it is read and checked, and charged. Raises
        ProtocolError for a request that does not fit the model, LimitError, and BusyError.
        """
        digest = bytes.fromhex(self.description["list_sha256"])
        head = wire.read_head(read, length, self.model.n_weights, digest)
        left = self.limits.left(client, self.day())
        if head.people > left:
            raise self.limits.refusal(head.people, left)
        with self.places.of(client):
            asked = wire.read_asked(read, head, self.model.n_weights)
            self.limits.charge(client, head.people, self.day())
            sizes = wire.groups(head.people, self.model.n_weights)
            return [
                answer(self.model, one, size, self.draw)
                for one, size in zip(asked, sizes, strict=True)
            ]


def open_scorer(
    path: Path, counts: Path, *, per_day: int, in_all: int | None = None, build: str | None = None
) -> Scorer:
    """Return a scoring file made ready to score; InputError where it cannot be."""
    file = pgs_catalog.read(path, build)
    if file.n_weights > MOST_WEIGHTS:
        raise InputError(f"{path}: {file.n_weights} weights; expected at most {MOST_WEIGHTS}")
    listing = listing_of(file, expected_dosages(path, file.n_weights))
    additive = file.weights["unsupported"].is_null().to_numpy()
    weights = np.nan_to_num(file.weights["weight"].to_numpy().astype(np.float64), nan=0.0)
    model = Model.of(np.where(additive, weights, 0.0))
    return Scorer.of(listing, model, counts, per_day=per_day, in_all=in_all)
