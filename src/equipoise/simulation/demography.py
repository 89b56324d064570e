"""The history of the simulated populations: out of Africa, with two that are mixtures.

AFR, EUR, EAS  sizes, growth, split times and migration of Gravel et al. 2011 (PNAS 108:11983,
               doi:10.1073/pnas.1019276108), as printed by Browning et al. 2018.
AMR            Browning et al. 2018 (PLoS Genet 14:e1007385, doi:10.1371/journal.pgen.1007385):
               a mixture 12 generations ago, growing by 5 % a generation. The shares can be chosen.
SAS            not from a paper. South Asians descend from people near to West Eurasians and from
               people near to East Eurasians; here EUR and a branch of EAS, mixed 150 generations
               ago. Shares and times were chosen so that the order of the distances is that of the
               1000 Genomes Project (tests/simulation/test_demography.py).

Departure: mutations fall at 1.29e-8 a base and generation, while Gravel et al. inferred their
history with 2.36e-8. That changes how many variants there are, which is chosen anyway, and
neither their frequencies nor their correlation by distance in Morgans.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from equipoise.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POPULATIONS: Final = ("AFR", "EUR", "EAS", "SAS", "AMR")
AMR: Final = {"AFR": 1 / 6, "EUR": 1 / 3, "EAS": 1 / 2}
"""Shares of the mixture of Browning et al. 2018."""

RECOMBINATION: Final = 1e-8
MUTATION: Final = 1.29e-8

_RECENT: Final = 20
"""Generations simulated in discrete time: samples of a size near the population's have more
than two children of one parent, which the coalescent has not (Bhaskar et al. 2014)."""

_SAS: Final = {"EUR": 0.5, "ASI": 0.5}
_SAS_MIXED: Final = 150
_ASI_SPLIT: Final = 650
_EURASIA_SPLIT: Final = 920
_OUT_OF_AFRICA: Final = 2040
_EXPANSION: Final = 5920
_AMR_MIXED: Final = 12


def msprime_module() -> Any:
    """Return msprime; InputError where it is not installed.

    It is an optional package without complete types: this is its one seam.
    """
    try:
        import msprime  # noqa: PLC0415
    except ImportError:
        raise InputError(
            "simulating populations takes msprime, which is not installed; install"
            " `equipoise[simulate]`, or take `--model random` for independent variants"
        ) from None
    return msprime


def demography(amr: Mapping[str, float] = AMR) -> Any:
    """Return the history as an `msprime.Demography`; `amr` has the shares of AFR, EUR and EAS."""
    history = msprime_module().Demography()
    history.add_population(name="AFR", initial_size=14474)
    for name, size, growth in (("EUR", 1032, 0.0038), ("EAS", 554, 0.0048)):
        now = size * math.exp(growth * _EURASIA_SPLIT)
        # Told to be active, since msprime takes an ancestor in a split (ASI's) for extinct.
        history.add_population(
            name=name, initial_size=now, growth_rate=growth, initially_active=True
        )
    history.add_population(name="SAS", initial_size=20000)
    grown = 30000 * math.exp(0.05 * _AMR_MIXED)
    history.add_population(name="AMR", initial_size=grown, growth_rate=0.05)
    history.add_population(name="ASI", initial_size=5000)
    history.add_population(name="OOA", initial_size=1861)
    history.add_population(name="AMH", initial_size=14474)
    history.add_population(name="ANCESTRAL", initial_size=7310)
    for pair, rate in (
        (("AFR", "EUR"), 2.5e-5),
        (("AFR", "EAS"), 7.8e-6),
        (("EUR", "EAS"), 3.11e-5),
    ):
        history.set_symmetric_migration_rate(pair, rate)
    shares = {name: share for name, share in amr.items() if share > 0}
    history.add_admixture(
        _AMR_MIXED, derived="AMR", ancestral=list(shares), proportions=list(shares.values())
    )
    history.add_admixture(
        _SAS_MIXED, derived="SAS", ancestral=list(_SAS), proportions=list(_SAS.values())
    )
    history.add_population_split(_ASI_SPLIT, derived=["ASI"], ancestral="EAS")
    history.add_population_split(_EURASIA_SPLIT, derived=["EUR", "EAS"], ancestral="OOA")
    history.add_symmetric_migration_rate_change(_EURASIA_SPLIT, ["AFR", "OOA"], 1.5e-4)
    history.add_population_split(_OUT_OF_AFRICA, derived=["AFR", "OOA"], ancestral="AMH")
    history.add_population_split(_EXPANSION, derived=["AMH"], ancestral="ANCESTRAL")
    history.sort_events()
    return history


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """The genealogy of one chromosome with its mutations, as arrays over sites in order.

    position    1-based
    carried     (sites, populations) haplotypes that carry a derived allele
    once        whether just one mutation fell on the site: one of more may have been undone
    haplotypes  gives, for a place among the sites, each haplotype's allele, 1 where derived;
                quick where places rise from call to call
    """

    position: "NDArray[np.int64]" = field(repr=False)
    carried: "NDArray[np.int64]" = field(repr=False)
    once: "NDArray[np.bool_]" = field(repr=False)
    haplotypes: "Callable[[int], NDArray[np.int32]]" = field(repr=False)


def chromosome(
    people: Mapping[str, int], length: int, seeds: tuple[int, int], amr: Mapping[str, float] = AMR
) -> History:
    """Return the history of one chromosome.

    people  how many of each population; person i has the haplotypes 2i and 2i + 1, the
            populations in the order of `people`
    length  bases
    seeds   of genealogy and mutations, each from 1 to 2**32 - 1
    """
    msprime = msprime_module()
    genealogy = msprime.sim_ancestry(
        [msprime.SampleSet(n, population=name) for name, n in people.items()],
        demography=demography(amr),
        sequence_length=length,
        recombination_rate=RECOMBINATION,
        random_seed=seeds[0],
        model=[
            msprime.DiscreteTimeWrightFisher(duration=_RECENT),
            msprime.StandardCoalescent(),
        ],
    )
    mutated = msprime.sim_mutations(
        genealogy, rate=MUTATION, random_seed=seeds[1], model=msprime.BinaryMutationModel()
    )
    return _history(mutated, list(people.values()))


def _history(mutated: Any, sizes: list[int]) -> History:
    """Return the arrays of a tskit.TreeSequence, whose types are incomplete."""
    import numpy as np  # noqa: PLC0415
    import tskit  # noqa: PLC0415

    ends = np.cumsum([0, *(2 * n for n in sizes)])
    carried = mutated.sample_count_stat(
        [np.arange(first, last) for first, last in itertools.pairwise(ends.tolist())],
        lambda carriers: carriers,  # pyright: ignore[reportUnknownLambdaType]
        len(sizes),
        windows="sites",
        mode="site",
        polarised=True,
        span_normalise=False,
        strict=False,
    )
    variant: Any = tskit.Variant(mutated, isolated_as_missing=False)

    def haplotypes(site: int) -> "NDArray[np.int32]":
        variant.decode(site)
        return variant.genotypes

    return History(
        mutated.sites_position.astype(np.int64) + 1,
        np.rint(carried).astype(np.int64),
        np.bincount(mutated.mutations_site, minlength=mutated.num_sites) == 1,
        haplotypes,
    )
