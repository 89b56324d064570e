"""One small cohort, written in every format that is read, without the readers."""

import struct
import subprocess
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.genotypes import plink
from equipoise.genotypes.source import GenotypeFile
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import decode, encode

NAN = np.nan
VCF_HEAD = (
    "##fileformat=VCFv4.2\n"
    "##contig=<ID=1>\n##contig=<ID=22>\n##contig=<ID=chr22>\n##contig=<ID=X>\n"
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    '##FORMAT=<ID=DS,Number=1,Type=Float,Description="Dosage">\n'
    '##FORMAT=<ID=GP,Number=G,Type=Float,Description="Probabilities">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT"
)
_GT = {2.0: "1/1", 1.0: "0|1", 0.0: "0/0"}


@dataclass(frozen=True)
class Tiny:
    """A cohort: `dosage` of ALT, (variants, people), NaN where not called."""

    dosage: NDArray[np.float64]
    chromosome: tuple[str, ...]
    position: tuple[int, ...]
    ref: tuple[str, ...]
    alt: tuple[str, ...]
    sex: tuple[int, ...] = field(default=())

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(f"P{i}" for i in range(self.dosage.shape[1]))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"rs{i}" for i in range(len(self.dosage)))

    @property
    def variants(self) -> Variants:
        columns = (self.chromosome, self.position, self.alt, self.ref)
        return Variants.of(pl.DataFrame(dict(zip(HEADER, columns, strict=True))))


@st.composite
def tiny(draw: st.DrawFn, dosages: bool = False) -> Tiny:
    """Draw 1 to 7 people and 1 to 6 variants on two chromosomes, sorted."""
    n, m = draw(st.integers(1, 7)), draw(st.integers(1, 6))
    steps = st.integers(0, 510).map(lambda s: s / 255)
    cell = st.one_of(st.sampled_from((0.0, 1.0, 2.0, NAN)), steps if dosages else st.nothing())
    rows = draw(st.lists(st.lists(cell, min_size=n, max_size=n), min_size=m, max_size=m))
    split = draw(st.integers(0, m))
    spelled = draw(
        st.lists(st.sampled_from([("A", "G"), ("C", "CTT"), ("TA", "T")]), min_size=m, max_size=m)
    )
    return Tiny(
        np.array(rows),
        ("1",) * split + ("22",) * (m - split),
        tuple(10 * (i + 1) for i in range(m)),
        tuple(ref for ref, _ in spelled),
        tuple(alt for _, alt in spelled),
    )


def run_plink2(*words: object) -> None:
    done = subprocess.run(["plink2", *map(str, words)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def write_bed(folder: Path, cohort: Tiny) -> Path:
    plink.write(folder / "a", encode(cohort.dosage), cohort.variants, cohort.ids)
    # The names too, which that writer does not take.
    lines = (folder / "a.bim").read_text().splitlines()
    named = [
        line.replace("\t.\t", f"\t{name}\t", 1)
        for line, name in zip(lines, cohort.names, strict=True)
    ]
    (folder / "a.bim").write_text("\n".join(named) + "\n")
    return folder / "a.bed"


def write_pgen(folder: Path, cohort: Tiny, dosages: bool = False) -> Path:
    pgenlib: Any = pytest.importorskip("pgenlib")
    m, n = cohort.dosage.shape
    path = folder / "a.pgen"
    writer = pgenlib.PgenWriter(str(path).encode(), n, m, nonref_flags=None, dosage_present=dosages)
    for row in np.where(np.isnan(cohort.dosage), -9, cohort.dosage):
        if dosages:
            writer.append_dosages(row.astype(np.float32))
        else:
            writer.append_biallelic(row.astype(np.int8))
    writer.close()
    rows = zip(
        cohort.chromosome, cohort.position, cohort.names, cohort.ref, cohort.alt, strict=True
    )
    text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    (folder / "a.pvar").write_text("##source=us\n#CHROM\tPOS\tID\tREF\tALT\n" + text)
    sex = cohort.sex or (0,) * n
    people = "".join(f"{i}\t{s or 'NA'}\n" for i, s in zip(cohort.ids, sex, strict=True))
    (folder / "a.psam").write_text("#IID\tSEX\n" + people)
    return path


def vcf_text(cohort: Tiny, field: str = "GT", prefix: str = "") -> str:
    """Return the text; `field` is GT, DS or GP."""
    lines = [VCF_HEAD + "\t" + "\t".join(cohort.ids)]
    rows = zip(
        cohort.chromosome,
        cohort.position,
        cohort.names,
        cohort.ref,
        cohort.alt,
        cohort.dosage,
        strict=True,
    )
    for chromosome, position, name, ref, alt, dosage in rows:
        form = "GT" if field == "GT" else f"GT:{field}"
        cells = [_cell(d, field) for d in dosage.tolist()]
        lines.append(
            "\t".join(
                [prefix + chromosome, str(position), name, ref, alt, ".", ".", ".", form, *cells]
            )
        )
    return "\n".join(lines) + "\n"


def _cell(dosage: float, field: str) -> str:
    if np.isnan(dosage):
        return "./." if field == "GT" else "./.:."
    if field == "GT":
        return _GT[dosage]
    if field == "DS":
        return f"./.:{dosage!r}"
    once = min(dosage, 2 - dosage)
    return f"./.:{1 - once - (dosage - once) / 2!r},{once!r},{(dosage - once) / 2!r}"


def write_vcf(folder: Path, cohort: Tiny, field: str = "GT") -> Path:
    (folder / "a.vcf").write_text(vcf_text(cohort, field))
    return folder / "a.vcf"


def write_vcf_gz(folder: Path, cohort: Tiny, field: str = "GT") -> Path:
    (folder / "a.vcf.gz").write_bytes(bgzf(vcf_text(cohort, field, "chr").encode()))
    return folder / "a.vcf.gz"


def write_bcf(folder: Path, cohort: Tiny, field: str = "GT") -> Path:
    cyvcf2: Any = pytest.importorskip("cyvcf2")
    source = folder / "of_bcf.vcf"
    source.write_text(vcf_text(cohort, field))
    file = cyvcf2.VCF(str(source))
    writer = cyvcf2.Writer(str(folder / "a.bcf"), file, mode="wb")
    for record in file:
        writer.write_record(record)
    writer.close()
    return folder / "a.bcf"


def bgzf(data: bytes, size: int = 300) -> bytes:
    """Return the data in blocks of `size`, and the empty block that ends a file."""
    blocks = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(map(_bgzf_block, [*blocks, b""]))


def _bgzf_block(data: bytes) -> bytes:
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = deflate.compress(data) + deflate.flush()
    size = len(body) + 26
    head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", size - 1)
    return head + body + struct.pack("<II", zlib.crc32(data), len(data))


def bgen_bytes(cohort: Tiny, bits: int = 8, packing: int = 1, phased: bool = False) -> bytes:
    """Return BGEN 1.2 with REF first; a dosage d has the probabilities of an even mix."""
    m, n = cohort.dosage.shape
    names = b"".join(struct.pack("<H", len(i)) + i.encode() for i in cohort.ids)
    block = struct.pack("<II", len(names) + 8, n) + names
    head = struct.pack("<III4sI", 20, m, n, b"bgen", packing | 2 << 2 | 1 << 31)
    parts = [struct.pack("<I", 20 + len(block)), head, block]
    for i, row in enumerate(cohort.dosage):
        said = (cohort.names[i], cohort.names[i], cohort.chromosome[i])
        parts += [struct.pack("<H", len(text)) + text.encode() for text in said]
        parts.append(struct.pack("<IH", cohort.position[i], 2))
        alleles = (cohort.ref[i], cohort.alt[i])
        parts += [struct.pack("<I", len(allele)) + allele.encode() for allele in alleles]
        data = probabilities(row, bits, phased)
        packed = struct.pack("<I", len(data)) + zlib.compress(data) if packing else data
        parts += [struct.pack("<I", len(packed)), packed]
    return b"".join(parts)


def probabilities(row: NDArray[np.float64], bits: int, phased: bool) -> bytes:
    """Return the block of one variant; `row` counts the second allele."""
    missing = np.isnan(row)
    d = np.where(missing, 2, row)
    most = (1 << bits) - 1
    if phased:
        pairs = np.stack([1 - np.maximum(d - 1, 0), 1 - np.minimum(d, 1)], axis=1)
    else:
        once = np.minimum(d, 2 - d)
        pairs = np.stack([1 - once - (d - once) / 2, once], axis=1)
    numbers = np.floor(pairs * most + 1e-6).astype(np.uint64)
    numbers[missing] = 0
    flat = (numbers.reshape(-1, 1) >> np.arange(bits, dtype=np.uint64) & np.uint64(1)).astype(
        np.uint8
    )
    ploidy = np.where(missing, 0x82, 2).astype(np.uint8).tobytes()
    head = struct.pack("<IHBB", len(row), 2, 2, 2) + ploidy + bytes([phased, bits])
    return head + np.packbits(flat.reshape(-1), bitorder="little").tobytes()


def write_bgen(folder: Path, cohort: Tiny) -> Path:
    (folder / "a.bgen").write_bytes(bgen_bytes(cohort))
    return folder / "a.bgen"


def write_zarr(folder: Path, cohort: Tiny, field: str = "GT", zarr_format: int = 2) -> Path:
    zarr: Any = pytest.importorskip("zarr")
    root = zarr.open_group(str(folder / "a.vcz"), mode="w", zarr_format=zarr_format)
    known = cohort.dosage[..., None]
    pairs = np.concatenate([known > 1, known > 0], axis=2).astype(np.int8)
    pairs[np.isnan(cohort.dosage)] = -1
    contigs = sorted(set(cohort.chromosome))
    text = np.dtypes.StringDType()
    arrays: dict[str, Any] = {
        "variant_contig": np.array([contigs.index(c) for c in cohort.chromosome], np.int16),
        "variant_position": np.array(cohort.position, np.int32),
        "variant_allele": np.array(list(zip(cohort.ref, cohort.alt, strict=True)), text),
        "variant_id": np.array(cohort.names, text),
        "contig_id": np.array(contigs, text),
        "sample_id": np.array(cohort.ids, text),
    }
    if field == "GT":
        arrays["call_genotype"] = pairs
    elif field == "DS":
        arrays["call_DS"] = cohort.dosage.astype(np.float32)
    else:
        once = np.minimum(cohort.dosage, 2 - cohort.dosage)
        twice = (cohort.dosage - once) / 2
        arrays["call_GP"] = np.stack([1 - once - twice, once, twice], axis=2).astype(np.float32)
    for name, values in arrays.items():
        chunks = tuple(min(size, 2 if size < 20 else 200) for size in values.shape)
        array = root.create_array(
            name,
            shape=values.shape,
            dtype=values.dtype,
            chunks=chunks,
            config={"write_empty_chunks": True},
        )
        array[:] = values
    return folder / "a.vcz"


HARD: Mapping[str, Callable[[Path, Tiny], Path]] = MappingProxyType(
    {
        "bed": write_bed,
        "pgen": write_pgen,
        "vcf": write_vcf,
        "vcf.gz": write_vcf_gz,
        "bcf": write_bcf,
        "bgen": write_bgen,
        "zarr": write_zarr,
    }
)


def read_hard(file: GenotypeFile) -> NDArray[np.float64]:
    return decode(file.packed(0, file.n_variants), file.n_samples)
