"""Encrypted scores of genotypes: those of `score`, with the same match; messages and limits."""

import gzip
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.artefacts.pgs_catalog import ScoringFile
from equipoise.errors import InputError, ProtocolError, RefusedError
from equipoise.genotypes.matching import REASONS
from equipoise.protections.score_scheme import Answer
from equipoise.tools import score_files
from equipoise.tools.encrypted_scoring import scorer as scorer_module
from equipoise.tools.encrypted_scoring import wire
from equipoise.tools.encrypted_scoring.client import BusyOwnerError
from equipoise.tools.encrypted_scoring.limits import LimitError, Limits
from equipoise.tools.encrypted_scoring.listing import Description, read_description, read_listing
from equipoise.tools.encrypted_scoring.scorer import BusyError, Scorer, open_scorer
from equipoise.tools.score import Site, score
from tools.scoring import NAMES, Held, listed, site, weights

pytest.importorskip("tenseal")
from equipoise.tools.encrypted_scoring.asking import Choices, score_encrypted

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


def file_of(folder: Path) -> ScoringFile:
    return weights(folder / "again.txt", ROWS)


def assert_as_plain(held: list[Held], folder: Path, choices: Choices) -> None:
    sites: list[Site] = list(held)
    found = score_encrypted(sites, VARIANTS, Direct(owner(folder)), choices).scores
    plain = score(
        sites,
        VARIANTS,
        [file_of(folder)],
        keep_ambiguous=choices.keep_ambiguous,
        mean_imputation=choices.mean_imputation,
        least_matched=0,
    )
    assert found.scores[0].match.reasons == plain.scores[0].match.reasons
    for own, reference in zip(found.sums, plain.sums, strict=True):
        np.testing.assert_allclose(own.score, reference.score, rtol=0, atol=1e-5)
        np.testing.assert_allclose(own.copies, reference.copies, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(own.not_called, reference.not_called)


@settings(max_examples=12)
@given(
    st.integers(0, 10_000),
    st.lists(st.integers(1, 9), min_size=1, max_size=2),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_scores_are_those_of_the_plain_command(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    sizes: list[int],
    dosed: bool,
    ambiguous: bool,
    filled: bool,
) -> None:
    """Matched, swapped, other strand, ambiguous, absent, repeated, X: all as `score` does it."""
    draw = np.random.default_rng(seed)
    held = []
    for at, n in enumerate(sizes):
        calls = draw.integers(0, 3, (6, n)).astype(float)
        calls[draw.random(calls.shape) < 0.3] = np.nan
        real = None
        if dosed:
            real = np.where(np.isnan(calls), np.nan, draw.random(calls.shape) * 2)
            real = real.astype(np.float32)
        held.append(site(calls, f"s{at}", 100 * at, real))
    folder = tmp_path_factory.mktemp("held")
    assert_as_plain(held, folder, Choices(ambiguous, filled, 0))


def test_many_people_are_asked_for_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from equipoise.tools.encrypted_scoring import dosages

    monkeypatch.setattr(wire, "most_people", lambda n: 5)
    monkeypatch.setattr(dosages, "_VALUES", 1)
    monkeypatch.setattr(dosages, "people_at_once", lambda n, group: 8)
    draw = np.random.default_rng(1)
    calls = draw.integers(0, 3, (6, 21)).astype(float)
    calls[draw.random(calls.shape) < 0.1] = np.nan
    direct = Direct(owner(tmp_path))
    choices = Choices(keep_ambiguous=True, least_matched=0)
    seen: list[tuple[int, int]] = []
    found = score_encrypted(
        [site(calls)], VARIANTS, direct, choices, lambda *done: seen.append(done)
    )
    plain = score(
        [site(calls)], VARIANTS, [file_of(tmp_path)], keep_ambiguous=True, least_matched=0
    )
    np.testing.assert_allclose(found.scores.sums[0].score, plain.sums[0].score, atol=1e-5)
    assert found.requests == len(direct.sent) == 5
    assert seen[-1] == (21, 21)
    seeds = {data[44:76] for data in direct.sent}
    assert len(seeds) == 5  # a seed used twice would tell differences of genotypes


def test_the_report_adds_up_and_tells_no_weight(tmp_path: Path) -> None:
    held = site(np.random.default_rng(2).integers(0, 3, (6, 4)).astype(float))
    choices = Choices(least_matched=0)
    found = score_encrypted([held], VARIANTS, Direct(owner(tmp_path)), choices).scores
    report = score_files.write(tmp_path / "out.tsv", [held], found)
    rows = [line.split("\t") for line in report.read_text().splitlines()]
    assert {row[rows[0].index("weight")] for row in rows[1:]} == {"NA"}
    counts = score_files.summary(found)[0]["reasons"]
    assert sum(counts.values()) == len(rows) - 1 == len(ROWS)
    assert set(counts) == set(REASONS)


def test_the_owner_may_tell_what_to_take_for_missing_calls(tmp_path: Path) -> None:
    lines = ["#pgs_id=P", "\t".join([*NAMES, "allelefrequency_effect"])]
    rows = [
        ("", 1, 10, "A", "G", 0.5, 0.25),
        ("", 3, 9, "A", "C", 2, 0.1),
        ("", 1, 30, "A", "C", 1, ""),
    ]
    lines += ["\t".join(map(str, row)) for row in rows]
    (tmp_path / "w.txt").write_text("\n".join(lines) + "\n")
    made = open_scorer(tmp_path / "w.txt", tmp_path / "counts", per_day=9, in_all=9)
    calls = np.full((6, 3), np.nan)
    calls[2] = [2, 1, np.nan]
    found = score_encrypted([site(calls)], VARIANTS, Direct(made))
    assert found.told_expected == 2
    # 0.5 * 0.5 + 2 * 0.2 for everybody, and the third person the mean of the other two.
    np.testing.assert_allclose(found.scores.sums[0].score[0], [2.65, 1.65, 2.15], atol=1e-5)


def test_a_frequency_that_is_none_is_refused_with_its_line(tmp_path: Path) -> None:
    lines = ["#pgs_id=P", "\t".join([*NAMES, "allelefrequency_effect"])]
    lines += ["\t1\t10\tA\tG\t1\t0.5", "\t1\t20\tA\tG\t1\t1.5"]
    (tmp_path / "w.txt").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"w\.txt:4: '1\.5' in allelefrequency_effect"):
        open_scorer(tmp_path / "w.txt", tmp_path / "counts", per_day=9)


def test_genotypes_of_another_build_or_list_are_refused(tmp_path: Path) -> None:
    direct = Direct(owner(tmp_path))
    held = site(np.ones((6, 2)))
    with pytest.raises(InputError, match="positions of GRCh37, genotypes of GRCh38"):
        score_encrypted([held], VARIANTS, direct, Choices(build="GRCh38"))
    other = listed([("9", i, "A", "G") for i in range(1, 7)])
    with pytest.raises(InputError, match="least-matched 0"):
        score_encrypted([held], other, direct)
    assert direct.sent == []


# Messages


def request(people: int = 2, n: int = 9) -> tuple[wire.Head, bytes]:
    """Return a request that has the form of one, for a model of `ROWS`."""
    head = wire.Head(people, bytes(32), bytes(32))
    element = wire.write_element(np.zeros((5, 8192), np.uint32))
    return head, head.packed() + element * (1 + len(wire.groups(people, n)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: b[:40], "expected 76 and more"),
        (lambda b: b"EQSX" + b[4:], "not of version 1"),
        (lambda b: b[:4] + b"\x02" + b[5:], "not of version 1"),
        (lambda b: b[:8] + bytes(4) + b[12:], "0 people"),
        (lambda b: b[:8] + b"\xff" * 4 + b[12:], "4294967295 people"),
        (lambda b: b[:12] + b"\x01" * 32 + b[44:], "another list"),
        (lambda b: b + b"\0", "bytes for 2 people"),
        (lambda b: b[:-4], "bytes for 2 people"),
        (lambda b: b[:76] + b"\0\0\0\1" + b[80:], "a ciphertext of 16777216 bytes"),
        (lambda b: b[:-4] + b"\xff" * 4, "not below its prime"),
        (lambda b: b[:80] + (1073233921).to_bytes(4, "little") + b[84:], "not below its prime"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_before_anything_is_computed(
    change: Callable[[bytes], bytes], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = owner(tmp_path)
    digest = bytes.fromhex(made.description["list_sha256"])
    _, data = request()
    data = change(data[:12] + digest + data[44:])
    monkeypatch.setattr(scorer_module, "answer", lambda *_: pytest.fail("something was computed"))
    with pytest.raises(ProtocolError, match=said):
        made.score("clinic", len(data), reader(data))
    assert made.limits.left("clinic", DAY) == 10_000  # and nothing was charged


def test_a_request_cut_short_is_not_charged(tmp_path: Path) -> None:
    made = owner(tmp_path)
    _, data = request()
    data = data[:12] + bytes.fromhex(made.description["list_sha256"]) + data[44:]
    with pytest.raises(ConnectionError):
        made.score("clinic", len(data), reader(data[:-1]))
    assert made.limits.left("clinic", DAY) == 10_000


@given(st.binary(max_size=200))
def test_bytes_at_random_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        wire.read_head(reader(data), len(data), 9, bytes(32))


@given(st.integers(1, 300), st.sampled_from([1, 77, 4096, 9000, 110_000]))
def test_lengths_follow_from_people_and_weights(people: int, n: int) -> None:
    sizes = wire.groups(people, n)
    assert sum(sizes) == people
    assert all(sizes)
    elements = 1 + len(sizes) * -(-n // 8192)
    assert wire.asked_bytes(people, n) == 76 + elements * (4 + 4 * 5 * 8192)


def test_a_reply_that_does_not_fit_is_refused() -> None:
    answers = [Answer(np.ones((2, 5), np.uint32), np.zeros((5, 8192), np.uint32))]
    data = b"".join(wire.write_answers(answers))
    assert len(data) == wire.answered_bytes(2, 9)
    assert wire.read_answers(reader(data), 2, 9)[0].sums.tolist() == [[1] * 5] * 2
    for wrong in (b"EQSQ" + data[4:], data[:12] + b"\1" + data[13:], data[:-4] + b"\xff" * 4):
        with pytest.raises(ProtocolError):
            wire.read_answers(reader(wrong), 2, 9)
    with pytest.raises(ProtocolError):
        wire.read_answers(reader(data), 3, 9)
    with pytest.raises(ProtocolError, match="not below its prime"):
        wire.read_answers(reader(data[:16] + b"\xff" * 4 + data[20:]), 2, 9)


def test_a_description_or_list_that_is_none_is_refused(tmp_path: Path) -> None:
    made = owner(tmp_path)
    told = json.loads(made.describe("clinic"))
    said = read_description(json.dumps(told).encode())
    wrong = [
        b"", b"[]", b"{}", b"\xff",
        *(json.dumps({**told, **change}).encode() for change in (
            {"version": 2}, {"weights": -1}, {"weights": True}, {"weights": 1 << 40}, {"left": "9"},
            {"name": "a\nb"}, {"name": ""}, {"list_sha256": "00"}, {"list_sha256": 3},
            {"ring": {**told["ring"], "flood_bits": 3}}, {"list_bytes": 1 << 40},
        )),
    ]  # fmt: skip
    for data in wrong:
        with pytest.raises(ProtocolError):
            read_description(data)
    bomb = gzip.compress(bytes(50_000_000))
    for zipped in (b"", made.zipped[:-9], gzip.compress(b"other"), bomb):
        with pytest.raises(ProtocolError, match="is not the one"):
            read_listing(zipped, said)
    with pytest.raises(ProtocolError, match="is not the one"):
        read_listing(made.zipped, replace(said, weights=3))


def test_the_public_list_has_no_weight(tmp_path: Path) -> None:
    made = owner(tmp_path, rows=[("", 1, 10, "A", "G", 0.123456), ("", 1, 20, "C", "T", -7.654321)])
    public = gzip.decompress(made.zipped) + made.describe("clinic")
    assert b"123456" not in public
    assert b"654321" not in public
    other = owner(tmp_path, rows=[("", 1, 10, "A", "G", 9), ("", 1, 20, "C", "T", 8)])
    assert other.zipped == made.zipped
    assert other.describe("clinic") == made.describe("clinic")


# Limits


def limits(folder: Path, per_day: int = 5, in_all: int = 8, model: str = "m") -> Limits:
    return Limits.open(folder / "counts", model, per_day, in_all)


def test_scores_are_counted_by_client_day_and_model_and_kept(tmp_path: Path) -> None:
    held, tomorrow = limits(tmp_path), date(2026, 5, 18)
    held.charge("a", 4, DAY)
    with pytest.raises(LimitError, match="2 scores are asked for and 1 are left today"):
        held.charge("a", 2, DAY)
    held.charge("a", 1, DAY)
    again = limits(tmp_path)
    assert [again.left("a", DAY), again.left("b", DAY), again.left("a", tomorrow)] == [0, 5, 3]
    assert limits(tmp_path, model="n").left("a", DAY) == 5
    again.charge("a", 3, tomorrow)
    with pytest.raises(LimitError):
        again.charge("a", 1, date(2027, 1, 1))


def test_charges_at_the_same_time_do_not_pass_the_limit(tmp_path: Path) -> None:
    counted: list[int] = []

    def charge(held: Limits) -> None:
        for _ in range(5):
            try:
                held.charge("a", 1, DAY)
                counted.append(1)
            except LimitError:
                pass

    threads = [threading.Thread(target=charge, args=(limits(tmp_path, 20, 20),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counted) == 20


def test_a_file_that_counts_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "counts").write_text(
        "not a database, but a text that is long enough to be read" * 9
    )
    with pytest.raises(InputError, match="no file of counts"):
        limits(tmp_path)
    with pytest.raises(InputError, match="no file of counts"):
        limits(tmp_path / "nowhere")


def test_the_counts_name_clients_and_nobody_else(tmp_path: Path) -> None:
    held = site(np.ones((6, 3)))
    score_encrypted([held], VARIANTS, Direct(owner(tmp_path)), Choices(least_matched=0))
    with sqlite3.connect(tmp_path / "counts") as file:
        rows = file.execute("SELECT client, day, scores FROM asked").fetchall()
    assert rows == [("clinic", "2026-05-17", 3)]


def test_a_flood_of_queries_ends_at_the_limit(tmp_path: Path) -> None:
    """The limit bounds how many equations a client has: one a score."""
    direct = Direct(owner(tmp_path, per_day=3))
    held = site(np.ones((6, 1)))
    for _ in range(3):
        score_encrypted([held], VARIANTS, direct, Choices(least_matched=0))
    with pytest.raises(RefusedError, match="gives 0 more scores today; nothing was sent"):
        score_encrypted([held], VARIANTS, direct, Choices(least_matched=0))
    # Nor does it help a client not to look.
    again = direct.sent[-1]
    with pytest.raises(LimitError, match="come back tomorrow"):
        direct.scorer.score("clinic", len(again), reader(again))
    assert len(direct.sent) == 3


def test_where_nothing_is_said_a_tenth_of_the_weights_is_the_limit(tmp_path: Path) -> None:
    rows = [("", 1, i + 1, "A", "G", 1) for i in range(57)]
    weights(tmp_path / "w.txt", rows)
    assert open_scorer(tmp_path / "w.txt", tmp_path / "c", per_day=100).limits.in_all == 5
    weights(tmp_path / "w.txt", rows[:3])
    assert open_scorer(tmp_path / "w.txt", tmp_path / "c", per_day=100).limits.in_all == 1


def test_more_requests_than_are_held_at_a_time_are_refused(tmp_path: Path) -> None:
    made = owner(tmp_path)
    _, data = request()
    data = data[:12] + bytes.fromhex(made.description["list_sha256"]) + data[44:]
    with ExitStack() as others:
        others.enter_context(made.places.of("clinic"))
        with pytest.raises(BusyError, match="one request under way at a time"):
            made.score("clinic", len(data), reader(data))
        for number in range(scorer_module.AT_ONCE - 1):
            made.score("next", len(data), reader(data))
            others.enter_context(made.places.of(f"client {number}"))
        with pytest.raises(BusyError, match="ask again in a minute"):
            made.score("next", len(data), reader(data))
    with pytest.raises(ConnectionError):
        made.score("next", len(data), reader(data[:-1]))
    assert len(made.score("next", len(data), reader(data))) == 1  # places are given back


def test_a_busy_owner_is_asked_again_under_another_seed(tmp_path: Path) -> None:
    class Busy(Direct):
        refused = 2

        def scores(self, head: wire.Head, elements: Iterator[bytes], n_weights: int):
            if self.refused:
                self.refused -= 1
                self.sent.append(head.packed())
                raise BusyOwnerError("busy")
            return super().scores(head, elements, n_weights)

    direct, waited = Busy(owner(tmp_path)), list[float]()
    held = site(np.ones((6, 1)))
    choices = Choices(least_matched=0)
    found = score_encrypted([held], VARIANTS, direct, choices, wait=waited.append)
    assert found.requests == 3
    assert waited == [1.0, 3.0]
    assert len({data[44:76] for data in direct.sent}) == 3
    direct.refused = 100
    with pytest.raises(BusyOwnerError):
        score_encrypted([held], VARIANTS, direct, choices, wait=waited.append)


def test_weights_of_other_kinds_are_listed_with_their_reason(tmp_path: Path) -> None:
    lines = ["#pgs_id=P", "\t".join([*NAMES, "is_recessive"])]
    lines += ["\t1\t10\tA\tG\t1\tFALSE", "\t1\t30\tA\tC\t9\tTRUE", "\t1\t20\tC\tT\t2\t"]
    (tmp_path / "w.txt").write_text("\n".join(lines) + "\n")
    made = open_scorer(tmp_path / "w.txt", tmp_path / "counts", per_day=9, in_all=9)
    found = score_encrypted(
        [site(np.ones((6, 1)))], VARIANTS, Direct(made), Choices(least_matched=0)
    )
    assert found.scores.scores[0].match.reasons == ["matched", "recessive", "matched"]
    np.testing.assert_allclose(found.scores.sums[0].score, [[3]], atol=1e-5)
    assert isinstance(found.scores.scores[0].file.weights, pl.DataFrame)
