"""How many scores each client was given, by day and in all, kept in a file.

Each score is one equation in the weights, and as many as there are weights solve for them. A
score is charged before it is computed and never given back. The file names the clients by their
certificates and counts scores; it knows nothing about any person.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Lock
from typing import Final

from equipoise.errors import InputError, RefusedError

SHARE: Final = 10
"""Where the owner says nothing, a client gets as many scores as a tenth of the weights, in all."""

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS asked (model TEXT, client TEXT, day TEXT, scores INTEGER,"
    " PRIMARY KEY (model, client, day))"
)
_COUNT: Final = (
    "SELECT COALESCE(SUM(scores), 0), COALESCE(SUM(CASE day WHEN ? THEN scores END), 0)"
    " FROM asked WHERE model = ? AND client = ?"
)
_ADD: Final = (
    "INSERT INTO asked VALUES (?, ?, ?, ?) ON CONFLICT (model, client, day)"
    " DO UPDATE SET scores = scores + excluded.scores"
)


class LimitError(RefusedError):
    """A client has had as many scores as the owner gives."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The counts of one model.

    path     the file, made where there is none
    model    the digest of its list, so that a model with other weights for it counts on
    per_day  the most that a client gets on one day (UTC)
    in_all   the most that it ever gets
    """

    path: Path
    model: str
    per_day: int
    in_all: int
    lock: Lock

    @classmethod
    def open(cls, path: Path, model: str, per_day: int, in_all: int) -> "Limits":
        """Return the counts in a file; InputError where it is none of these."""
        found = cls(path, model, per_day, in_all, Lock())
        try:
            with closing(found.connected()) as held, held:
                held.execute(_TABLE)
                held.execute(_COUNT, ("", model, ""))
        except sqlite3.Error as error:
            raise InputError(
                f"{path}: no file of counts that can be read and written ({error}); expected one"
                " that `equipoise owner serve` made; name another, or restore it"
            ) from error
        return found

    def connected(self) -> sqlite3.Connection:
        """Return a connection to the file."""
        return sqlite3.connect(self.path, timeout=10)

    def left(self, client: str, today: date) -> int:
        """Return how many scores a client may still have today."""
        with self.lock, closing(self.connected()) as held:
            return max(self._left(held, client, today), 0)

    def charge(self, client: str, scores: int, today: date) -> None:
        """Count scores about to be computed; LimitError, and nothing counted, if too many."""
        with self.lock, closing(self.connected()) as held, held:
            held.execute("BEGIN IMMEDIATE")
            left = self._left(held, client, today)
            if scores > left:
                raise self.refusal(scores, max(left, 0))
            held.execute(_ADD, (self.model, client, today.isoformat(), scores))

    def refusal(self, scores: int, left: int) -> LimitError:
        """Return the error that says how many a client may still have."""
        return LimitError(
            f"{scores} scores are asked for and {left} are left today: the model's owner gives a"
            f" client {self.per_day} a day and {self.in_all} in all, since many scores together"
            " tell the weights; ask for fewer, come back tomorrow (UTC), or ask the owner for more"
        )

    def _left(self, held: sqlite3.Connection, client: str, today: date) -> int:
        asked = (today.isoformat(), self.model, client)
        ever, day = held.execute(_COUNT, asked).fetchone()
        return min(self.per_day - int(day), self.in_all - int(ever))
