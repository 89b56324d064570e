"""A log whose writer was stopped, and comes to where it stood by doing the same again."""

from collections import deque
from collections.abc import Collection
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from equipoise.errors import IntegrityError
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import Log


class Retraced(Log):
    """Takes the entries that it has a second time, in their order, before it takes new ones.

    Entries of kinds that do not follow from what is done again, such as refused connections,
    are left out.
    """

    __slots__ = ("_due", "_left_out")

    def __init__(
        self, directory: Path, origin: str, private_key: Ed25519PrivateKey, descriptor: int
    ) -> None:
        """As a log; nothing is expected a second time before `retrace`."""
        super().__init__(directory, origin, private_key, descriptor)
        self._due: deque[Entry] = deque()
        self._left_out: Collection[str] = ()

    def retrace(self, left_out: Collection[str]) -> Self:
        """Expect all entries a second time but those of some kinds; return the log."""
        self._left_out = {"opened", *left_out}
        self._due = deque(e for e in self.entries() if e.kind not in self._left_out)
        return self

    @property
    def due(self) -> Entry | None:
        """The entry that is expected next, None where only new ones are."""
        return self._due[0] if self._due else None

    def append(self, entry: Entry) -> int:
        """Take an entry again, or a new one; IntegrityError for another than the one expected."""
        if not self._due or entry.kind in self._left_out:
            return super().append(entry)
        if entry != self._due[0]:
            raise IntegrityError(
                f"the ledger has an entry {self._due[0].kind!r} where what was kept of the run"
                f" leads to another, {entry.kind!r}: one of them was altered; the run cannot be"
                " taken up, only begun anew (--anew)"
            )
        self._due.popleft()
        return self.size - len(self._due) - 1
