"""What `equipoise pca` writes: components by person, eigenvalues, and loadings."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.artefacts.files import write_whole
from equipoise.genotypes.variants import FREQUENCY, HEADER
from equipoise.tools.pca import Principal
from equipoise.tools.projection import MARK, shrinkage
from equipoise.tools.sites import Sites

COLUMNS: Final = (
    *("component", "eigenvalue", "residual", "found", "share", "above_noise", "shrinkage"),
)


def beside(out: Path, name: str) -> Path:
    """Return the path of a table that belongs to `out`.

    >>> beside(Path("a/pcs.tsv"), "loadings").name
    'pcs.loadings.tsv'
    """
    return out.with_name(f"{out.stem}.{name}.tsv")


def names_of(k: int) -> list[str]:
    """Return PC1 to PCk."""
    return [f"PC{i + 1}" for i in range(k)]


def shrinkages(found: Principal) -> NDArray[np.float64]:
    """Return the shrinkage of projected scores, (k,)."""
    return shrinkage(found.eigenvalues, found.separated, found.total, found.people, found.effective)


def write_people(
    out: Path,
    sites: Sites,
    placed: Sequence[NDArray[np.float64]],
    names: Sequence[str],
    more: Mapping[str, Sequence[NDArray[Any]]] | None = None,
) -> None:
    """Write one row a person: IID, the components, `more` columns, and the site if several.

    NA stands for a component that was not found.
    """
    write_whole(out, _people(sites, placed, names, more or {}))


def _people(
    sites: Sites,
    placed: Sequence[NDArray[np.float64]],
    names: Sequence[str],
    more: Mapping[str, Sequence[NDArray[Any]]],
) -> Iterator[str]:
    several = len(sites.sites) > 1
    yield "\t".join(["IID", *names, *more, *(["site"] if several else [])]) + "\n"
    for at, (site, values) in enumerate(zip(sites.sites, placed, strict=True)):
        columns = [one[at].tolist() for one in more.values()]
        last = [site.name] if several else []
        rows = zip(site.sample_ids, values.tolist(), *columns, strict=True)
        for person, row, *others in rows:
            yield "\t".join([person, *map(_cell, row), *map(_cell, others), *last]) + "\n"


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return "NA" if np.isnan(value) else f"{value:.9g}"


def write_eigenvalues(path: Path, found: Principal) -> None:
    """Write one row a component."""
    columns = zip(
        names_of(len(found.eigenvalues)),
        found.eigenvalues.tolist(),
        found.residuals.tolist(),
        np.where(found.found, "yes", "no").tolist(),
        found.share.tolist(),
        np.where(found.separated, "yes", "no").tolist(),
        shrinkages(found).tolist(),
        strict=True,
    )
    rows = ("\t".join(map(_cell, row)) + "\n" for row in columns)
    write_whole(path, ["\t".join(COLUMNS) + "\n", *rows])


def write_loadings(path: Path, found: Principal, build: str | None) -> None:
    """Write, for each variant, what its standardised dosage adds to each component found."""
    write_whole(path, _loadings(found, build))


def _loadings(found: Principal, build: str | None) -> Iterator[str]:
    here = found.found
    names = [name for name, told in zip(names_of(len(here)), here, strict=True) if told]
    m = found.variants.n_variants
    scale = np.sqrt(found.people / (found.eigenvalues[here] * m))
    weights = (found.loadings[:, here] * scale).tolist()
    yield MARK + "\n"
    yield f"#people={found.people}\n#build={build or ''}\n"
    yield f"#eigenvalues={','.join(f'{v:.9g}' for v in found.eigenvalues[here])}\n"
    yield f"#shrinkage={','.join(f'{v:.9g}' for v in shrinkages(found)[here])}\n"
    yield "\t".join([*HEADER, FREQUENCY, *names]) + "\n"
    v = found.variants
    rows = zip(
        v.chromosome.tolist(),
        v.position.tolist(),
        v.effect_allele.tolist(),
        v.other_allele.tolist(),
        found.frequency.tolist(),
        weights,
        strict=True,
    )
    for chromosome, position, effect, other, frequency, row in rows:
        cells = "\t".join(f"{value:.9g}" for value in row)
        yield f"{chromosome}\t{position}\t{effect}\t{other}\t{frequency:.9g}\t{cells}\n"
