"""An owner of weights in this process, its scoring file, and requests to it, for several tests."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np

from equipoise.protections.score_scheme import Answer
from equipoise.tools.encrypted_scoring import wire
from equipoise.tools.encrypted_scoring.listing import Description, read_description, read_listing
from equipoise.tools.encrypted_scoring.scorer import Scorer, open_scorer
from tools.scoring import listed, weights

DAY = date(2026, 5, 17)
VARIANTS = listed(
    [("1", 10, "A", "G"), ("1", 20, "C", "T"), ("1", 30, "A", "C"), ("2", 5, "A", "T"), ("X", 7, "G", "A"), ("3", 9, "C", "A")]
)  # fmt: skip
ROWS: list[tuple[object, ...]] = [
    ("", 1, 10, "A", "G", 0.5),
    ("", 1, 20, "A", "G", -1),
    ("", 1, 30, "A", "C", 4),
    ("", 2, 5, "A", "T", 3),
    ("", "X", 7, "G", "A", 1.25),
    ("", 3, 9, "A", "C", -0.0001),
    ("", 3, 9, "A", "C", 5),
    ("", 4, 1, "A", "C", 2),
    ("", 1, 10, "T", "ACC", 1),
]


@dataclass
class Direct:
    """An owner in this process; every message goes through its bytes."""

    scorer: Scorer
    client: str = "clinic"
    sent: list[bytes] = field(default_factory=list)

    def description(self) -> Description:
        return read_description(self.scorer.describe(self.client))

    def listing(self, said: Description):
        return read_listing(self.scorer.zipped, said)

    def scores(self, head: wire.Head, elements: Iterator[bytes], n_weights: int) -> list[Answer]:
        self.sent.append(b"".join([head.packed(), *elements]))
        found = self.scorer.score(self.client, len(self.sent[-1]), reader(self.sent[-1]))
        return wire.read_answers(
            reader(b"".join(wire.write_answers(found))), head.people, n_weights
        )


def reader(data: bytes) -> Callable[[int], bytes]:
    at = 0

    def read(size: int) -> bytes:
        nonlocal at
        at += size
        if at > len(data):
            raise ConnectionError("the client stopped sending")
        return data[at - size : at]

    return read


def owner(folder: Path, per_day: int = 10_000, rows: list[tuple[object, ...]] = ROWS) -> Scorer:
    weights(folder / "w.txt", rows)
    made = open_scorer(folder / "w.txt", folder / "counts", per_day=per_day, in_all=100_000)
    return replace(made, day=lambda: DAY)


def request(people: int = 2, n: int = 9) -> tuple[wire.Head, bytes]:
    """Return a request that has the form of one, for a model of `ROWS`."""
    head = wire.Head(people, bytes(32), bytes(32))
    element = wire.write_element(np.zeros((5, 8192), np.uint32))
    return head, head.packed() + element * (1 + len(wire.groups(people, n)))
