"""Regions of long-range linkage: 24 in each build, the same ones, and found by any name."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import InputError
from equipoise.genotypes.long_range import BUILDS, REGIONS, in_long_range, regions_of


@pytest.mark.parametrize("build", BUILDS)
def test_each_build_has_the_24_regions_in_order_and_apart(build: str) -> None:
    regions = REGIONS[build]
    assert len(regions) == 24
    order = [(int(name), first, last) for name, first, last in regions]
    assert order == sorted(order)
    for (name, _, last), (after, first, _) in pairwise(order):
        assert name < after or last < first


@pytest.mark.parametrize("build", ["GRCh37", "GRCh38"])
def test_lifted_regions_are_those_of_the_paper(build: str) -> None:
    # A lift-over moves a region by less than 2 Mb and keeps its length but for centromeres.
    for old, new in zip(REGIONS["GRCh36"], REGIONS[build], strict=True):
        assert old[0] == new[0]
        assert abs(new[1] - old[1]) < 2_500_000
        assert abs((new[2] - new[1]) / (old[2] - old[1]) - 1) < 0.25


def test_the_hla_region_is_in_every_build() -> None:
    # HLA-B: 31.4 Mb in GRCh36, 31.3 in the others.
    chromosome = np.full(1, "6", np.dtypes.StringDType())
    for build in BUILDS:
        assert in_long_range(chromosome, np.array([31_350_000]), build).all()


def test_other_names_of_a_build_are_known_and_no_build_is_guessed() -> None:
    assert regions_of("hg38") is REGIONS["GRCh38"]
    assert regions_of("grch37") is REGIONS["GRCh37"]
    with pytest.raises(InputError, match="GRCh36, GRCh37, GRCh38"):
        regions_of("T2T")


@given(st.integers(1, 22), st.integers(1, 250_000_000), st.sampled_from(BUILDS))
def test_a_variant_is_inside_as_one_by_one_comparison_says(
    chromosome: int, position: int, build: str
) -> None:
    text = np.full(1, str(chromosome), np.dtypes.StringDType())
    twin = any(
        name == str(chromosome) and first <= position <= last
        for name, first, last in REGIONS[build]
    )
    assert in_long_range(text, np.array([position]), build).tolist() == [twin]
