"""BCF, through the package cyvcf2; its blocks are checked before the package reads them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.genotypes import held
from equipoise.genotypes.bgzf import compressed, stream
from equipoise.genotypes.source import (
    Progress,
    broken,
    imported,
    people,
    why_left_out,
)
from equipoise.genotypes.text import whole
from equipoise.genotypes.vcf_fields import (
    ABSENT,
    NO_FIELD,
    POLYPLOID,
    expected_copies,
    in_range,
    of_alleles,
)

_MEND: Final = "mend the record, or write the file again"
_CHUNK: Final = 1 << 20


def convert(path: Path, progress: Progress | None) -> held.Held:
    """Return the genotypes of a BCF file; InputError names the record that is wrong."""
    cyvcf2 = imported(path, "cyvcf2", "vcf")
    _check_blocks(path, progress)
    try:
        file = cyvcf2.VCF(str(path))
        ids = people(path, list(file.samples))
        dosages = bool({"DS", "GP"} & set(_formats(file)))
    except (OSError, UnicodeError, KeyError, ValueError) as error:
        raise _unreadable(path, 0) from error
    with held.Holding(path, ids, dosages=dosages) as holding:
        order = held.Order()
        for number, record in _records(path, file):
            _take(path, number, record, order, holding)
        return holding.done()


def _check_blocks(path: Path, progress: Progress | None) -> None:
    """Refuse a file that is no BCF in whole blocks: the package trusts what it reads."""
    if not compressed(path, "a BCF file"):
        found, expected = (
            "a file that is not compressed by blocks",
            "BCF as bcftools view -Ob writes",
        )
        raise whole(path, found, expected, "write it again with bcftools view -Ob")
    with stream(path, "a BCF file", progress) as file:
        if file.read(3) != b"BCF":
            found, expected = "a content that does not begin with BCF", "a BCF file"
            raise whole(path, found, expected, "give the file the ending of what it is")
        while file.read(_CHUNK):
            pass


def _formats(file: Any) -> Iterator[str]:
    for entry in file.header_iter():
        if entry.type == "FORMAT":
            yield str(entry["ID"])


def _records(path: Path, file: Any) -> Iterator[tuple[int, Any]]:
    number = 0
    while True:
        try:
            record = next(file)
        except StopIteration:
            return
        except Exception as error:
            # The package raises bare Exception for a record that it cannot read.
            raise _unreadable(path, number + 1) from error
        number += 1
        yield number, record


def _unreadable(path: Path, number: int) -> InputError:
    place = f"record {number}" if number else "header"
    found = "bytes that cyvcf2 cannot read"
    return broken(path, place, found, "BCF 2.2", "write it again with bcftools view -Ob")


def _take(path: Path, number: int, record: Any, order: held.Order, holding: held.Holding) -> None:
    place = f"record {number}"
    chromosome, position = str(record.CHROM), int(record.POS)
    fault = order.fault(chromosome, position)
    if fault is not None:
        raise broken(path, place, fault, "records in order", "sort the file: bcftools sort")
    alt = list(record.ALT) or ["."]
    reason = why_left_out([record.REF, *alt])
    if reason is not None:
        holding.left_out[reason] += 1
        return
    try:
        codes, haploid = _genotypes(record, len(holding.sample_ids))
        dosage = _dosages(record, haploid)
    except ValueError as error:
        found, _, expected = str(error).partition("; expected ")
        raise broken(path, place, found, expected, _MEND) from None
    row = (chromosome, str(position), alt[0], record.REF, record.ID or ".", number)
    holding.add(row, codes, dosage)


def _genotypes(record: Any, n_samples: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    if not {"GT", "DS", "GP"} & set(record.FORMAT):
        raise ValueError(NO_FIELD)
    if "GT" not in record.FORMAT:
        return held.nobody_called(n_samples), np.zeros(n_samples, np.bool_)
    alleles: NDArray[np.int16] = record.genotype.array()[:, :-1]
    if alleles.shape[1] > 2:
        if np.any(alleles[:, 2:] != ABSENT):
            raise ValueError(POLYPLOID)
        alleles = alleles[:, :2]
    return of_alleles(alleles.astype(np.int64))


def _dosages(record: Any, haploid: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    probability, dosage = (_numbers(record, name) for name in ("GP", "DS"))
    found = None
    if probability is not None:
        found = expected_copies(_of_three(probability))
    if dosage is not None:
        in_range(dosage[:, 0], haploid)
        doubled = np.where(haploid, 2 * dosage[:, 0], dosage[:, 0])
        found = doubled if found is None else np.where(np.isnan(doubled), found, doubled)
    return None if found is None else found.astype(np.float32)


def _numbers(record: Any, name: str) -> NDArray[np.float64] | None:
    if name not in record.FORMAT:
        return None
    return np.asarray(record.format(name), np.float64)


def _of_three(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities of 0, 1 and 2 copies; of two, the second is of two copies."""
    three = np.full((len(probability), 3), np.nan)
    three[:, : probability.shape[1]] = probability[:, :3]
    two = ~np.isnan(three[:, 1]) & np.isnan(three[:, 2])
    three[two, 2], three[two, 1] = three[two, 1], 0.0
    return three
