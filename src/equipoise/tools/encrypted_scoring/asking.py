"""What the clinic does: align its genotypes with a model, ask in ciphertext, read the answers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import sleep
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from equipoise.artefacts.pgs_catalog import same_build
from equipoise.errors import InputError, RefusedError
from equipoise.genotypes import matching
from equipoise.genotypes.matching import LEAST_MATCHED, Match
from equipoise.genotypes.variants import Variants
from equipoise.packed.scoring import Sums
from equipoise.protections.score_key import Key, new_seed
from equipoise.protections.score_scheme import Answer, group_size
from equipoise.tools.encrypted_scoring import dosages, wire
from equipoise.tools.encrypted_scoring.client import BusyOwnerError
from equipoise.tools.encrypted_scoring.listing import Description, Listing
from equipoise.tools.score import Score, Scores, Site

Reals = NDArray[np.float64]


_PAUSES: Final = (1.0, 3.0, 10.0, 30.0, 60.0)
"""Seconds to wait before a busy owner is asked again."""


class Owner(Protocol):
    """Where the scores come from: `client.Client`."""

    def description(self) -> Description:
        """Return what the owner says of the model."""
        ...

    def listing(self, said: Description) -> Listing:
        """Return the model's variants."""
        ...

    def scores(self, head: wire.Head, elements: Iterator[bytes], n_weights: int) -> list[Answer]:
        """Return the answers to a request."""
        ...


@dataclass(frozen=True, slots=True)
class Choices:
    """How genotypes are matched and filled in, as for `equipoise score`."""

    keep_ambiguous: bool = False
    mean_imputation: bool = True
    least_matched: float = LEAST_MATCHED
    build: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Encrypted:
    """Scores that an owner computed.

    told_expected  how many weights' missing calls had the owner's expected dosage
    """

    scores: Scores
    told_expected: int
    requests: int


def score_encrypted(
    sites: Sequence[Site],
    variants: Variants,
    owner: Owner,
    choices: Choices | None = None,
    progress: Callable[[int, int], None] | None = None,
    wait: Callable[[float], None] = sleep,
) -> Encrypted:
    """Return everybody's scores by the owner's model.

    They are those of `tools.score.score` with the same file, within 1e-5: missing calls have the
    dosage that the owner's list expects, and where it tells none, the mean of the people here.
    Raises InputError for genotypes that do not fit the list, RefusedError where the owner gives
    fewer scores than there are people, before anything is sent.
    """
    choices = choices or Choices()
    said = owner.description()
    people = sum(len(site.sample_ids) for site in sites)
    if said.left < people:
        raise RefusedError(
            f"{people} people are to be scored, and the model's owner gives {said.left} more"
            " scores today; nothing was sent; score fewer, or ask the owner for more"
        )
    listing = owner.listing(said)
    match, filled, told = _prepared(sites, variants, listing, choices)
    asking = _Asking(owner, said, match, filled, wait)
    sums: list[Sums] = []
    done = 0
    for site in sites:
        found = Sums.zeros(1, len(site.sample_ids))
        for first, stop in asking.ask(site, found):
            done += stop - first
            if progress is not None:
                progress(done, people)
        sums.append(found)
    score = Score(listing.as_file(), match)
    made = Scores((score,), tuple(sums), choices.mean_imputation)
    return Encrypted(made, told, asking.requests)


def _prepared(
    sites: Sequence[Site], variants: Variants, listing: Listing, choices: Choices
) -> tuple[Match, Reals, int]:
    """Return the match, each weight's dosage for those not called, and how many the owner told."""
    build = choices.build
    if build is not None and listing.build is not None and not same_build(listing.build, build):
        raise InputError(
            f"{listing.name}: positions of {listing.build}, genotypes of {build}; expected one"
            f" genome build; ask the owner for the model on {build}, or lift the genotypes over"
        )
    asked = listing.as_file().weights
    match = matching.match(asked, variants, keep_ambiguous=choices.keep_ambiguous)
    matching.refuse_too_few(listing.name, match, listing.build, choices.least_matched)
    expected = listing.expected
    all_told = choices.mean_imputation and not np.isnan(expected[match.used]).any()
    mean = expected if all_told else dosages.means(sites, variants, match)
    if not choices.mean_imputation:
        return match.without(match.used & np.isnan(mean), "not_called"), np.zeros(len(mean)), 0
    filled = np.where(np.isnan(expected), mean, expected)
    match = match.without(match.used & np.isnan(filled), "not_called")
    told = int(np.count_nonzero(match.used & ~np.isnan(expected)))
    return match, np.nan_to_num(filled), told


class _Asking:
    """Requests under one key; each has a seed of its own, and each attempt at one."""

    def __init__(
        self,
        owner: Owner,
        said: Description,
        match: Match,
        filled: Reals,
        wait: Callable[[float], None],
    ) -> None:
        self._owner, self._said, self._match, self._filled = owner, said, match, filled
        self._key, self._wait = Key(), wait
        self.requests = 0

    def ask(self, site: Site, found: Sums) -> Iterator[tuple[int, int]]:
        """Score a site's people into `found`; yield from where to where they are."""
        n = self._said.weights
        at_once = dosages.people_at_once(n, group_size(n))
        most = wire.most_people(n)
        for part in dosages.read(site, self._match, self._filled, at_once):
            for start in range(0, len(part.dosage), most):
                dosage = part.dosage[start : start + most]
                first, stop = part.first + start, part.first + start + len(dosage)
                found.score[0, first:stop] = self._scored(dosage)
                yield first, stop
            here = slice(part.first, part.first + len(part.dosage))
            found.copies[0, here], found.not_called[0, here] = part.copies, part.not_called

    def _scored(self, dosage: Reals) -> Reals:
        """Return people's scores, (people,); a busy owner is asked again a few times."""
        for seconds in _PAUSES:
            try:
                return self._once(dosage)
            except BusyOwnerError:
                self._wait(seconds)
        return self._once(dosage)

    def _once(self, dosage: Reals) -> Reals:
        n, seed = self._said.weights, new_seed()
        head = wire.Head(len(dosage), self._said.digest, seed)
        frames = self._frames(dosage, wire.groups(len(dosage), n), seed)
        self.requests += 1
        answers = self._owner.scores(head, frames, n)
        return np.concatenate([self._key.scores(one, n) for one in answers])

    def _frames(self, dosage: Reals, sizes: list[int], seed: bytes) -> Iterator[bytes]:
        public = self._key.public(seed)
        yield wire.write_element(public)
        first = 0
        for group, size in enumerate(sizes):
            asked = self._key.ask(dosage[first : first + size], public, seed, group)
            yield from map(wire.write_element, asked.blocks)
            first += size
