"""The loops that write simulated genotypes straight into packed bytes.

Random numbers are those of SplitMix64 (Steele, Lea and Flood 2014, OOPSLA,
doi:10.1145/2660193.2660195), one stream a variant, known by its key: what is drawn depends
neither on how variants are cut into blocks nor on who draws them.
"""

import math
from typing import Any

import numpy as np

from equipoise.native import compiled

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_UNIT = 2.0**-53


@compiled
def _mixed(state: Any) -> Any:
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return state ^ (state >> np.uint64(31))


@compiled
def draw(one: Any, two: Any, population: Any, keys: Any, block: Any) -> Any:
    """Fill the block with independent genotypes.

    one, two    (variants, populations) the probability of at least one copy of A1, and of
                two, each times 2**32 as uint64
    population  (4 * bytes,) of each person, 0 beyond the last
    keys        (variants,) of the streams
    """
    for v in range(block.shape[0]):
        state = keys[v]
        for byte in range(block.shape[1]):
            code = np.uint64(0)
            for half in range(2):
                state += _GOLDEN
                drawn = _mixed(state)
                for low in range(2):
                    i = 2 * half + low
                    p = population[4 * byte + i]
                    u = (drawn & _LOW) if low == 0 else (drawn >> _HALF)
                    copies = np.uint64(u < one[v, p]) + (np.uint64(u < two[v, p]) << np.uint64(1))
                    # 0 copies are 11, one is 10, two (1 + 2 here) are 00.
                    code |= (np.uint64(3) - copies) << np.uint64(2 * i)
            block[v, byte] = np.uint8(code)


@compiled
def pack(haplotypes: Any, first: Any, second: Any, block: Any) -> Any:
    """Fill the block with the sums of two haplotypes for each person.

    haplotypes     (variants, haplotypes) uint8, 1 where it carries A1
    first, second  (4 * bytes,) the columns of each person, -1 beyond the last
    """
    for v in range(block.shape[0]):
        for byte in range(block.shape[1]):
            code = 0
            for i in range(4):
                a = first[4 * byte + i]
                if a >= 0:
                    copies = haplotypes[v, a] + haplotypes[v, second[4 * byte + i]]
                    code |= (3 - copies - (copies >> 1)) << (2 * i)
            block[v, byte] = code


@compiled
def lose(block: Any, members: Any, rate: Any, keys: Any) -> Any:
    """Take the calls of members away, each with the rate of its variant, independently.

    members  (people,) places in the block
    rate     (variants,) from 0 to below 1
    keys     (variants,) of the streams

    From one lost call to the next is a geometric number of members: few draws at low rates.
    """
    n = members.shape[0]
    for v in range(block.shape[0]):
        if rate[v] <= 0.0:
            continue
        state = keys[v]
        kept = math.log1p(-rate[v])
        at = -1.0
        while True:
            state += _GOLDEN
            u = (np.float64(_mixed(state) >> np.uint64(11)) + 0.5) * _UNIT
            at += 1.0 + math.floor(math.log(u) / kept)
            if at >= n:
                break
            person = members[int(at)]
            shift = 2 * (person & 3)
            block[v, person >> 2] = (block[v, person >> 2] & ~(3 << shift)) | (1 << shift)


@compiled
def pass_on(
    haplotypes: Any, parent: Any, start: Any, crossings: Any, position: Any, gametes: Any
) -> Any:
    """Fill the haplotypes that parents passed on.

    haplotypes  (variants, haplotypes) of the founders; founder f has 2f and 2f + 1
    parent      (gametes,) the founder of each
    start       (gametes + 1,) where each one's places in `crossings` begin
    crossings   places where the other haplotype goes on, rising within a gamete; one at -1
                where it begins with the second
    position    (variants,) rising
    gametes     (variants, gametes) the result
    """
    for g in range(parent.shape[0]):
        passed = start[g]
        for v in range(haplotypes.shape[0]):
            while passed < start[g + 1] and crossings[passed] <= position[v]:
                passed += 1
            gametes[v, g] = haplotypes[v, 2 * parent[g] + ((passed - start[g]) & 1)]
