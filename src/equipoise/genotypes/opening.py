"""Genotypes of whatever format, by the ending of their path or by what their file begins with."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from equipoise.errors import InputError
from equipoise.genotypes.source import GenotypeFile, Progress
from equipoise.genotypes.text import whole

if TYPE_CHECKING:
    from equipoise.genotypes.bgen_index import Reference

FORMATS: Final = ".bed, .pgen, .vcf, .vcf.gz, .bcf, .bgen, .vcz or .zarr"

_OPEN: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys((".bed", ".bim", ".fam"), "plink.PlinkFile"),
        **dict.fromkeys((".pgen", ".pvar", ".psam"), "pgen.PgenFile"),
        **dict.fromkeys((".zarr", ".vcz"), "zarr.ZarrFile"),
    }
)


def open_genotypes(
    paths: Sequence[Path],
    reference: "Reference" = "first",
    progress: Progress | None = None,
) -> GenotypeFile:
    """Return the genotypes of one site: one file, or several with the same people.

    paths      each a file, a folder of VCF-Zarr, or the prefix of PLINK files
    reference  which allele of a BGEN file is the reference
    progress   is told the share that is read of a VCF or BCF, or stepped over of a BGEN

    Raises InputError where a file is missing, of another format or malformed, or where the
    files have other people.
    """
    if not paths:
        raise InputError(f"no genotypes; expected a path that ends with {FORMATS}; give one")
    files = [_open(path, reference, progress) for path in paths]
    return files[0] if len(files) == 1 else _reader("chromosomes.JoinedFile").of(files, paths)


def _open(path: Path, reference: "Reference", progress: Progress | None) -> GenotypeFile:
    if path.suffix in _OPEN:
        return _reader(_OPEN[path.suffix]).open(path)
    if path.suffix == ".bgen":
        return _reader("bgen.BgenFile").open(path, reference, progress)
    if path.suffix in (".vcf", ".bcf") or path.name.endswith((".vcf.gz", ".vcf.bgz")):
        return _reader("vcf.VcfFile").open(path, progress)
    for suffix in (".bed", ".pgen"):
        if path.with_name(path.name + suffix).is_file():
            return _reader(_OPEN[suffix]).open(path)
    found = "a path of no known format" if path.exists() else "no such file"
    raise whole(path, found, f"one that ends with {FORMATS}", "correct the path")


def _reader(name: str) -> Any:
    """Return a reader: each is imported when a file of its format is opened."""
    module, _, kind = name.partition(".")
    return getattr(import_module(f"equipoise.genotypes.{module}"), kind)
