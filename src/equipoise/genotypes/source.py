"""What every reader of genotypes gives, and the rules that all of them share.

The dosage counts the effect allele: A1 of a `.bim`, ALT of PGEN, VCF and VCF-Zarr, and of BGEN
the allele that is not the reference. A haploid call (X, Y, MT) counts as two copies or none, as
PLINK codes it. What cannot be a dosage of one allele against one other (three alleles or more,
symbolic alleles) is left out, and counted by reason in `left_out`.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.errors import InputError, Problem
from equipoise.genotypes.text import Fault, Lines, refuse, whole
from equipoise.genotypes.variants import HEADER, Text, Variants, normal, repeated
from equipoise.packed.decode import Block, width

ID: Final = "id"
NAMELESS: Final = "."

EFFECT_TWICE: Final = 0
NOT_CALLED: Final = 1
EFFECT_ONCE: Final = 2
OTHER_TWICE: Final = 3
"""The 2-bit codes of `packed/decode.py`."""

SEVERAL_ALLELES: Final = "more than two alleles"
SYMBOLIC: Final = "a symbolic allele"
"""Why a record is left out."""

Progress: TypeAlias = Callable[[float], None]
"""Is told the share that is done, from 0 to 1."""

# Any printable sign but the comma, which parts alleles.
_ALLELE: Final = "^[!-+.-~-]+$"

_SYMBOLS: Final = frozenset("<>[].*")

# plink2 keeps dosages in 16384ths and calls what lies within .1 of a whole number.
_SCALE: Final = 1 << 14
_NEAR: Final = int(0.1 * _SCALE)
_BEYOND: Final = np.float32(3)
"""Stands for a dosage that is not known, and is far from 0, 1 and 2."""

_OF_STEPS: Final = np.full(4 * _SCALE, NOT_CALLED, np.uint8)
"""The code of each dosage in 16384ths."""

for _copies, _code in enumerate((OTHER_TWICE, EFFECT_ONCE, EFFECT_TWICE)):
    _OF_STEPS[max(_copies * _SCALE - _NEAR, 0) : _copies * _SCALE + _NEAR + 1] = _code


class GenotypeFile(Protocol):
    """The genotypes of one site. Every reader can be pickled: it is opened again by its path."""

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """The IID of each person."""
        ...

    @property
    def sex(self) -> NDArray[np.int8]:
        """(samples,) 1 male, 2 female, 0 unknown."""
        ...

    @property
    def variants(self) -> Variants:
        """The variants in the order of the file; the dosage counts their effect allele."""
        ...

    @property
    def ids(self) -> Text:
        """(variants,) the name of each variant, `.` where it has none."""
        ...

    @property
    def n_samples(self) -> int:
        """Number of people."""
        ...

    @property
    def n_variants(self) -> int:
        """Number of variants."""
        ...

    @property
    def has_dosages(self) -> bool:
        """Whether `dosages` says more than `packed`."""
        ...

    @property
    def left_out(self) -> Mapping[str, int]:
        """How many records of the file are not among the variants, by reason."""
        ...

    @property
    def unread(self) -> tuple[str, ...]:
        """What the format can hold, and this reader does not read."""
        ...

    def packed(self, start: int, stop: int) -> Block:
        """Return the hard calls, (variants, ceil(n_samples / 4)), zeros after the last person."""
        ...

    def dosages(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return dosages from 0 to 2, (variants, samples), NaN where not called."""
        ...


def pack(codes: NDArray[np.uint8]) -> Block:
    """Return the block of 2-bit codes, (variants, samples).

    >>> pack(np.array([[0, 1, 2, 3, 2]], np.uint8))
    array([[228,   2]], dtype=uint8)
    """
    n_variants, n_samples = codes.shape
    padded = codes
    if n_samples % 4:
        padded = np.zeros((n_variants, 4 * width(n_samples)), np.uint8)
        padded[:, :n_samples] = codes
    first, second, third, fourth = (padded[:, i::4] for i in range(4))
    return first | second << np.uint8(2) | third << np.uint8(4) | fourth << np.uint8(6)


def codes_of(block: Block, n_samples: int) -> NDArray[np.uint8]:
    """Return the 2-bit codes of a block, (variants, samples).

    >>> codes_of(np.array([[228, 2]], np.uint8), 5)
    array([[0, 1, 2, 3, 2]], dtype=uint8)
    """
    codes = np.empty((len(block), block.shape[1], 4), np.uint8)
    for place in range(4):
        codes[:, :, place] = block >> np.uint8(2 * place) & np.uint8(3)
    return codes.reshape(len(block), -1)[:, :n_samples]


def reordered(block: Block, order: NDArray[np.int64]) -> Block:
    """Return the block of the people at the places `order`, (people,).

    >>> reordered(np.array([[228, 2]], np.uint8), np.array([4, 0, 3]))
    array([[50]], dtype=uint8)
    """
    shift = (2 * (order & 3)).astype(np.uint8)
    return pack(block[:, order >> 2] >> shift & np.uint8(3))


def called(dosage: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the code of each dosage, of the same shape: called within .1 of a whole number.

    As plink2 does by default (`--hard-call-threshold 0.1`), on dosages in 16384ths.

    >>> called(np.array([1.9, 1.89, 1.1, 0.1, np.nan], np.float32))
    array([0, 1, 2, 3, 1], dtype=uint8)
    """
    # Of a number and NaN, fmin takes the number.
    steps = np.fmin(dosage, _BEYOND)
    steps *= np.float32(_SCALE)
    steps += np.float32(0.5)
    return _OF_STEPS[steps.astype(np.uint16)]


def text(values: Sequence[str] | pl.Series) -> Text:
    """Return strings as an array of any length.

    >>> text(["rs1", "."])
    array(['rs1', '.'], dtype=StringDType())
    """
    held = values.to_numpy() if isinstance(values, pl.Series) else np.array(values, object)
    # numpy's stubs give no type to a conversion to StringDType.
    return cast("Text", held.astype(np.dtypes.StringDType()))


def why_left_out(alleles: Sequence[str]) -> str | None:
    """Return why a record with these alleles, the reference first, is left out, if it is.

    >>> why_left_out(["A", "G", "T"]), why_left_out(["A", "<DEL>"]), why_left_out(["A", "."])
    ('more than two alleles', 'a symbolic allele', None)
    """
    if len(alleles) > 2:
        return SEVERAL_ALLELES
    if any(one == "*" or (len(one) > 1 and set(one) & _SYMBOLS) for one in alleles):
        return SYMBOLIC
    return None


def listed(file: str, frame: pl.DataFrame, number: NDArray[np.int64]) -> Variants:
    """Return the variants of text columns of `HEADER`; `number` is the line or record of each.

    Raises InputError where a position, a chromosome or an allele has another form, or where
    a variant comes twice.
    """
    table = Lines(file, frame, number, ())
    kept = normal(frame)
    chromosome, position, effect, other = (frame[name] for name in HEADER)
    refuse(
        file,
        (
            _form(table, chromosome, "^[!-~]+$", "a chromosome of another form", "a name"),
            _form(table, position, "^[0-9]{1,18}$", "a position of another form", "1-based"),
            _form(table, effect, _ALLELE, "an allele of another form", "bases"),
            _form(table, other, _ALLELE, "an allele of another form", "bases"),
            table.fault(
                (effect == other) & ~effect.is_in((".", "0")),
                "twice the same allele",
                "two alleles that differ",
                "correct the record",
            ),
            repeated(table, kept),
        ),
    )
    return Variants.of(kept)


def _form(table: Lines, cells: pl.Series, form: str, found: str, expected: str) -> Fault:
    return table.fault(~cells.str.contains(form), found, expected, "correct the record")


def people(path: Path, ids: Sequence[str]) -> tuple[str, ...]:
    """Return the IDs; InputError where one is empty, has a blank in it, or comes twice."""
    if not ids:
        raise whole(path, "nobody", "at least one person", "take a file with genotypes")
    blank = sum(not one or any(c.isspace() or not c.isprintable() for c in one) for one in ids)
    if blank:
        found = f"{blank} IDs of people that are empty, or have tabs, blanks or control signs"
        raise whole(path, found, "IDs without them", "rename these people")
    again = len(ids) - len(set(ids))
    if again:
        found = f"{again} IDs of people that come twice"
        raise whole(path, found, "each ID once", "rename or remove one of the two")
    return tuple(ids)


def broken(path: Path, place: str, found: str, expected: str, remedy: str) -> InputError:
    """Return the error of one place in a binary file, such as `byte 17`."""
    return InputError(Problem(f"{path}, {place}", None, found, expected, remedy))


def imported(path: Path, module: str, extra: str) -> Any:
    """Return a package that is not always installed; InputError names the extra that has it.

    It comes without types: some are not installed where types are checked.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        found = "a format that this installation does not read"
        remedy = f"run: pip install 'equipoise[{extra}]'"
        raise whole(path, found, f"the extra {extra!r}", remedy) from None
