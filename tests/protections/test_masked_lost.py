"""Sites that are lost: the right total over the others, or a refusal, and nothing else."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

from equipoise.errors import EquipoiseError, TransportError
from equipoise.protections.graph import COMPLETE, REACH, holders, joined, ring, threshold
from equipoise.protections.masked import Masked
from protections.rounds import Lost, Round, Values, added, context, names, same, schema

FORM = schema({"x": (3,)}, {"y": (2,)})
PHASES = ("prepare", "input", "unmask", "check", "accept")
NEVER = len(PHASES)


def values(n_sites: int, seed: int = 1) -> list[Values]:
    draw = np.random.default_rng(seed)
    one = [{"x": 3}, {"y": 2}]
    return [
        [{name: draw.integers(-99, 99, size) for name, size in part.items()} for part in one]
        for _ in range(n_sites)
    ]


def losing(at: Mapping[str, int]) -> Lost:
    """Return what loses each site named before it answers the phase of that number."""
    return lambda site, phase: at.get(site, NEVER) <= phase


def started(parts: list[Values], lost: Lost, *, may_lose: bool = True, **changes: Any) -> Round:
    of = dict(zip(names(len(parts)), parts, strict=True))
    return Round(Masked(), FORM, of, context(len(parts), may_lose=may_lose, **changes), lost=lost)


def expected(at: Mapping[str, int], n_sites: int) -> list[str] | None:
    """Return whose sums are in the total, None for a refusal.

    Written from the protocol's promise and not from its code: who is lost before its message
    came is left out, if three are left; who is lost after that and before its forms came ends
    the round; who is lost later changes nothing, as long as one is left.
    """
    late = [site for site, phase in at.items() if PHASES[phase] in ("unmask", "check")]
    early = [site for site, phase in at.items() if PHASES[phase] in ("prepare", "input")]
    left = [site for site in names(n_sites) if site not in early]
    at_the_end = [site for site in left if site not in at]
    return None if late or len(left) < 3 or not at_the_end else left


def ways(sites: tuple[str, ...], phases: range) -> Iterator[dict[str, int]]:
    """Yield every way to lose any of the sites at any of the phases."""
    for chosen in product((*phases, NEVER), repeat=len(sites)):
        yield {s: phase for s, phase in zip(sites, chosen, strict=True) if phase != NEVER}


def outcome(rounds: Round, parts: list[Values]) -> list[str] | None:
    """Run to the end; return whose sums the total is, and fail unless all accept just that."""
    try:
        rounds.run()
    except TransportError:
        assert not rounds.accepted
        return None
    everybody = names(len(parts))
    for size in range(len(everybody), 0, -1):
        for some in combinations(everybody, size):
            if same(rounds.total, added([parts[everybody.index(s)] for s in some])):
                assert all(same(total, rounds.total[:]) for total in rounds.accepted.values())
                return list(some)
    raise AssertionError("a total that is no sum of sites")


@pytest.mark.parametrize("first", [*range(NEVER), NEVER])
def test_every_way_to_lose_sites_ends_in_the_right_total_or_a_refusal(first: int) -> None:
    """Four sites, each lost at any phase or never: all 1,296 ways."""
    parts = values(4)
    for others in ways(names(4)[1:], range(NEVER)):
        at = {"s0": first, **others} if first < NEVER else others
        assert outcome(started(parts, losing(at)), parts) == expected(at, 4), at


@pytest.mark.parametrize("first", [*range(NEVER - 1), NEVER])
def test_the_same_where_secrets_were_sent_ahead(first: int) -> None:
    """A second round has no phase of its own for secrets: it begins with the messages."""
    parts = values(4)
    before = started(values(4, 2), losing({})).run()
    for others in ways(names(4)[1:], range(NEVER - 1)):
        early = {"s0": first, **others} if first < NEVER else others
        after = replace(before, ahead=deepcopy(before.ahead)).then(parts)
        after.lost = losing(early)
        at = {site: phase + 1 for site, phase in early.items()}
        assert outcome(after, parts) == expected(at, 4), at
        assert len(after.answers) <= NEVER - 1


def test_who_was_lost_in_one_round_is_missing_in_the_next_and_no_more() -> None:
    first, second, third = values(4), values(4, 2), values(4, 3)
    rounds = started(first, losing({"s1": 1})).run()
    after = rounds.then(second).run()
    assert same(after.total, added([second[0], second[2], second[3]]))
    last = after.then(third).run()
    assert same(last.total, added([third[0], third[2], third[3]]))
    # Secrets that the lost site sent ahead served one round; then it is not waited for.
    assert set(last.requests[0]) == {"s0", "s2", "s3"}


def test_a_site_that_comes_back_takes_part_again_once_all_make_secrets_anew() -> None:
    first, second = values(4), values(4, 2)
    rounds = started(first, losing({"s1": 0})).run()
    rounds.gone.clear()
    rounds.ahead.clear()
    after = rounds.then(second).run()
    assert same(after.total, added(second))
    assert len(after.answers) == NEVER


@pytest.mark.parametrize("phase", range(NEVER - 1))
def test_where_the_sites_agreed_to_end_a_lost_site_ends_the_round(phase: int) -> None:
    rounds = started(values(4), losing({"s2": phase}), may_lose=False)
    with pytest.raises(TransportError, match="lost s2"):
        rounds.run()
    assert not rounds.accepted


def test_sites_themselves_refuse_to_go_on_where_they_agreed_to_end() -> None:
    """A centre that leaves a site out by itself gets no message, and no share."""
    rounds = started(values(4), losing({}), may_lose=False).run(1)
    del rounds.answers[-1]["s2"]
    rounds.centre.context = context(4, may_lose=True)  # pyright: ignore[reportAttributeAccessIssue]  a centre that lies
    with pytest.raises(EquipoiseError):
        rounds.run()


def test_a_site_that_is_left_out_by_the_centre_is_lost_as_any_other() -> None:
    """Who survived is what the centre says: it may leave a message out, and is held to that."""
    parts = values(4)
    rounds = started(parts, losing({})).run(2)
    del rounds.answers[-1]["s3"]
    rounds.gone.add("s3")
    rounds.run()
    assert same(rounds.total, added(parts[:3]))


# --- graphs


@pytest.mark.parametrize("n_sites", [3, 4, 5, 16, 17, 18, 33, 100])
def test_neighbours_hold_one_anothers_shares(n_sites: int) -> None:
    around = holders(names(n_sites), b"turn")
    for site, of in around.items():
        assert site in of
        assert len(of) == min(n_sites, n_sites if n_sites <= COMPLETE else 2 * REACH + 1)
        assert all(site in around[other] for other in of)
        assert 2 * threshold(len(of)) > len(of) + 1


def test_the_ring_is_another_in_every_round() -> None:
    sites = names(40)
    assert len({tuple(ring(sites, bytes([turn]))) for turn in range(50)}) == 50
    assert ring(sites, b"a") == ring(sites[::-1], b"a")


def test_a_ring_with_a_gap_does_not_hold_together() -> None:
    """Two gaps as wide as a site reaches part the others into two groups that do not mask."""
    sites = names(60)
    order = ring(sites, b"turn")
    near = {a: set(of) for a, of in holders(sites, b"turn").items()}

    def linked(left: set[str]) -> bool:
        seen, new = set[str](), {min(left)}
        while new:
            seen |= new
            new = {b for a in new for b in near[a] & left} - seen
        return seen == left

    draw = np.random.default_rng(1)
    parted = 0
    for _ in range(400):
        wide = [int(n) for n in draw.integers(0, REACH + 2, 2)]
        lost = {
            order[(start + i) % 60]
            for start, n in zip((3, 33), wide, strict=True)
            for i in range(n)
        }
        left = set(sites) - lost
        # Whoever colludes is as good as lost: it knows the masks that it shares.
        hold = all(linked(left - {one}) for one in left)
        parted += not hold
        assert hold or not joined(sites, b"turn", left)
    assert parted


def test_many_sites_lose_some_and_the_total_is_right() -> None:
    parts = values(24)
    rounds = started(parts, losing({"s3": 1, "s17": 1, "s20": 0})).run()
    left = [part for i, part in enumerate(parts) if i not in (3, 17, 20)]
    assert same(rounds.total, added(left))
    assert all(same(total, added(left)) for total in rounds.accepted.values())
