"""Who takes part: decided once at the site, before anything is released."""

import hashlib
import hmac
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import DisclosureError, InputError
from equipoise.plan import Member, Plan

OTHER = "other"


@dataclass(frozen=True, slots=True)
class Roster:
    """The admitted people of a site.

    rows     (samples,) their places in the genotype file
    refused  how many were not admitted, by reason: exact, and so for the site alone
    """

    ids: tuple[str, ...]
    rows: NDArray[np.int64]
    recruited: int
    refused: Mapping[str, int]

    @property
    def n(self) -> int:
        """Number of admitted people."""
        return len(self.ids)


def make_roster(ids: Sequence[str], reasons: Sequence[str | None]) -> Roster:
    """Return the roster: everybody without a reason against it."""
    rows = [i for i, reason in enumerate(reasons) if reason is None]
    refused = Counter(reason for reason in reasons if reason is not None)
    kept = tuple(ids[i] for i in rows)
    return Roster(kept, np.array(rows, np.int64), len(ids), dict(refused))


def folds(ids: Iterable[str], seed: int, k: int) -> NDArray[np.int64]:
    """Return each person's fold: HMAC-SHA256(seed, IID) mod k.

    It depends on nobody else, so it is the same however people are spread over sites.

    >>> folds(["a", "b", "c"], 1, 5).tolist() == folds(["c", "b", "a"], 1, 5).tolist()[::-1]
    True
    """
    key = f"equipoise-fold-1|{seed}".encode()
    draws = [hmac.digest(key, person.encode(), "sha256") for person in ids]
    return np.array([int.from_bytes(draw) % k for draw in draws], np.int64)


def folds_of(ids: Sequence[str], plan: Plan, own: Member) -> NDArray[np.int64]:
    """Return the fold of each person of a site: -1 at a site that never trains.

    Where folds are the sites, it is the place of the site among those that train.
    """
    if own.external:
        return np.full(len(ids), -1)
    if plan.fold_by == "site":
        return np.full(len(ids), plan.training.index(own.name))
    return folds(ids, plan.seed, plan.folds)


def published_counts(roster: Roster, k: int) -> dict[str, object]:
    """Return what a site announces of its people, with no count from 1 to k - 1.

    Reasons under k people merge into `other`. Where `other` is still under k, the
    smallest reason shown goes into it, since `recruited` less the rest would give it
    away; where there is none, `recruited` is withheld with it. The same where `other`
    is made of reasons with k - 1 people each: nothing else would add up to it. Reasons
    of one size go together, since a rule that picks one tells about the rest.

    >>> r = Roster(("p",) * 80, np.arange(80), 92, {"withdrawn": 9, "no permission": 3})
    >>> published_counts(r, 5)
    {'recruited': 92, 'admitted': 80, 'refused': {'other': 12}}
    """
    shown = {reason: n for reason, n in roster.refused.items() if n >= k}
    rest = sum(roster.refused.values()) - sum(shown.values())
    hidden = len(roster.refused) - len(shown)
    while shown and (0 < rest < k or 0 < rest == (k - 1) * hidden):
        smallest = min(shown.values())
        for reason in [reason for reason, n in shown.items() if n == smallest]:
            rest, hidden = rest + shown.pop(reason), hidden + 1
    refused: dict[str, int | None] = dict(sorted(shown.items()))
    if rest:
        refused[OTHER] = rest if rest >= k else None
    recruited = None if 0 < rest < k else roster.recruited
    return {"recruited": recruited, "admitted": roster.n, "refused": refused}


class Register:
    """A site's private list of every roster that it ever released sums for.

    People are kept as keyed digests under a secret of the site. The rule: a roster
    equals an earlier one or differs from it by at least `least` people.
    """

    def __init__(self, home: Path, least: int) -> None:
        """Keep the register in `home`; make its secret where there is none."""
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path, self._least = home / "rosters.jsonl", least
        secret = home / "register.key"
        if not secret.exists():
            new = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(new, "wb") as file:
                file.write(os.urandom(32))
                file.flush()
                os.fsync(file.fileno())
        self._secret = secret.read_bytes()
        if len(self._secret) != 32:
            raise InputError(f"{secret} is not a secret of 32 bytes; restore it")

    def admit(self, roster: Roster, study: str) -> str:
        """Enter a roster and return its salted digest; DisclosureError where it is too near.

        A roster that equals an earlier one is not entered again.
        """
        people = sorted(self._handle(person) for person in roster.ids)
        if 0 not in self.compare(roster):
            with self._path.open("a") as file:
                file.write(json.dumps({"study": study, "people": people}) + "\n")
                file.flush()
                os.fsync(file.fileno())
        return hmac.digest(self._secret, "\n".join(people).encode(), "sha256").hex()

    def compare(self, roster: Roster) -> list[int]:
        """Return by how many people the roster differs from each earlier one.

        DisclosureError where it is too near to one without being equal to it.
        """
        seen = {self._handle(person) for person in roster.ids}
        apart = [len(seen ^ other) for other in self._rosters()]
        if any(0 < n < self._least for n in apart):
            raise DisclosureError(
                f"this roster differs from an earlier one of this site by fewer than"
                f" {self._least} people: the difference of two totals would speak of them"
                " alone; wait until more people have come or gone"
            )
        return apart

    def salted(self, content: bytes) -> str:
        """Return a digest of private content that tells nothing without the site's secret."""
        return hmac.digest(self._secret, hashlib.sha256(content).digest(), "sha256").hex()

    def _handle(self, person: str) -> str:
        return hmac.digest(self._secret, b"person|" + person.encode(), "sha256").hex()[:32]

    def _rosters(self) -> list[set[str]]:
        if not self._path.exists():
            return []
        lines = self._path.read_text().splitlines()
        return [set(json.loads(line)["people"]) for line in lines]
