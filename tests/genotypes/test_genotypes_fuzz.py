"""Damaged files: every reader refuses them with InputError or reads valid genotypes.

The packages that are not ours run in a process of their own, so that a crash of theirs is seen.
A file with checksums (BGZF, BCF, BGEN with zlib) is refused, or read as it was.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import InputError
from equipoise.genotypes.opening import open_genotypes
from genotypes.formats import (
    HARD,
    Tiny,
    bgen_bytes,
    bgzf,
    vcf_text,
    write_bcf,
    write_pgen,
    write_zarr,
)

DRAW = np.random.default_rng(4)
COHORT = Tiny(
    np.where(DRAW.random((9, 11)) < 0.1, np.nan, DRAW.binomial(2, 0.4, (9, 11))),
    ("1",) * 4 + ("22",) * 5,
    tuple(range(10, 100, 10)),
    ("A",) * 9,
    ("G",) * 9,
)


@st.composite
def damage(draw: st.DrawFn, data: bytes) -> bytes:
    """Flip, cut out or put in some bytes."""
    out = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(len(out) - 1, 0)))
        kind = draw(st.sampled_from(("flip", "cut", "insert", "end")))
        if kind == "flip" and out:
            out[place] ^= draw(st.integers(1, 255))
        elif kind == "cut":
            del out[place : place + draw(st.integers(1, 40))]
        elif kind == "insert":
            out[place:place] = draw(st.binary(min_size=1, max_size=8))
        else:
            del out[place:]
    return bytes(out)


def outcome(path: Path) -> bytes | None:
    """Return all genotypes and variants as bytes, None where the file is refused."""
    try:
        file = open_genotypes([path])
        block = file.packed(0, file.n_variants)
        dosage = file.dosages(0, file.n_variants)
    except InputError:
        return None
    assert block.shape == (file.n_variants, -(-file.n_samples // 4))
    known = dosage[~np.isnan(dosage)]
    assert np.all((known >= 0) & (known <= 2))
    return block.tobytes() + file.variants.digest() + repr(file.sample_ids).encode()


@pytest.mark.parametrize("field", ["GT", "DS", "GP"])
def test_vcf(tmp_path: Path, field: str) -> None:
    good = vcf_text(COHORT, field).encode()

    @settings(max_examples=60)
    @given(damage(good))
    def check(data: bytes) -> None:
        (tmp_path / "a.vcf").write_bytes(data)
        outcome(tmp_path / "a.vcf")

    check()


def test_vcf_gz(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf.gz"
    good = bgzf(vcf_text(COHORT).encode())
    path.write_bytes(good)
    whole = outcome(path)

    @settings(max_examples=80)
    @given(damage(good))
    def check(data: bytes) -> None:
        path.write_bytes(data)
        found = outcome(path)
        assert found in (None, whole) or lost_blocks(good, data)

    check()


def lost_blocks(good: bytes, data: bytes) -> bool:
    """Return whether what came is whole blocks of the file: a record may have gone with one."""
    import gzip

    return gzip.decompress(data) != gzip.decompress(good)


@pytest.mark.parametrize(("bits", "packing"), [(8, 1), (11, 0), (16, 1)])
def test_bgen(tmp_path: Path, bits: int, packing: int) -> None:
    path = tmp_path / "a.bgen"

    @settings(max_examples=80)
    @given(damage(bgen_bytes(COHORT, bits, packing)))
    def check(data: bytes) -> None:
        path.write_bytes(data)
        outcome(path)

    check()


@pytest.mark.parametrize("suffix", [".bed", ".bim", ".fam"])
def test_plink(tmp_path: Path, suffix: str) -> None:
    path = HARD["bed"](tmp_path, COHORT)
    good = path.with_suffix(suffix).read_bytes()

    @settings(max_examples=60)
    @given(damage(good))
    def check(data: bytes) -> None:
        path.with_suffix(suffix).write_bytes(data)
        outcome(path)

    check()


_APART = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from genotypes.test_genotypes_fuzz import outcome
for line in sys.stdin:
    path, target, data = json.loads(line)
    Path(target).write_bytes(bytes.fromhex(data))
    print(outcome(Path(path)) is None, flush=True)
"""


def apart(path: Path, target: Path, n: int, seed: int) -> int:
    """Read n damaged forms of `target` in another process; return how many were refused."""
    draw = np.random.default_rng(seed)
    good = target.read_bytes()
    lines: list[str] = []
    for _ in range(n):
        out = bytearray(good)
        for _ in range(int(draw.integers(1, 4))):
            place, kind = int(draw.integers(0, max(len(out), 1))), draw.integers(4)
            if kind == 0 and out:
                out[min(place, len(out) - 1)] ^= 1 << int(draw.integers(8))
            elif kind == 1:
                del out[place : place + int(draw.integers(1, 40))]
            elif kind == 2:
                out[place:place] = draw.bytes(int(draw.integers(1, 8)))
            else:
                del out[place:]
        lines.append(json.dumps([str(path), str(target), bytes(out).hex()]))
    done = subprocess.run(
        [sys.executable, "-c", _APART, str(Path(__file__).parents[1])],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    target.write_bytes(good)
    said = done.stdout.split()
    assert len(said) == n
    return said.count("True")


@pytest.mark.parametrize("suffix", [".pgen", ".pvar", ".psam"])
@pytest.mark.parametrize("dosages", [False, True])
def test_pgen(tmp_path: Path, suffix: str, dosages: bool) -> None:
    path = write_pgen(tmp_path, COHORT, dosages)
    assert apart(path, path.with_suffix(suffix), 150, seed=len(suffix) + dosages) > 20


def test_bcf(tmp_path: Path) -> None:
    path = write_bcf(tmp_path, COHORT)
    # All but a head's time and the like are under a checksum.
    assert apart(path, path, 150, seed=1) > 130


# Strings in format 3 are left out: the count at the head of a damaged chunk makes numcodecs ask
# for up to 32 GB before it refuses.
@pytest.mark.parametrize(
    ("zarr_format", "name"),
    [(2, "call_genotype"), (2, "variant_allele"), (2, "sample_id"), (3, "call_genotype")],
)
def test_zarr(tmp_path: Path, zarr_format: int, name: str) -> None:
    path = write_zarr(tmp_path, COHORT, zarr_format=zarr_format)
    files = sorted(p for p in (path / name).rglob("*") if p.is_file())
    for i, target in enumerate(files[:: max(len(files) // 3, 1)][:3]):
        apart(path, target, 25, seed=i)
