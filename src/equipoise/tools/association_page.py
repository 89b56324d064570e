"""A page to look at, pictures by themselves, and the check by LD scores, of a scan."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import equipoise
from equipoise.artefacts import ld_score_file
from equipoise.artefacts.files import write_whole
from equipoise.dossier.association_report import Summary, association_report, pictures
from equipoise.dossier.picture import write_svg
from equipoise.dossier.reduction import Reduction
from equipoise.solvers.inflation import chi_square
from equipoise.solvers.ld_score import LdRegression, ld_regression
from equipoise.tools.association_files import Wanted
from equipoise.tools.association_rows import Rows
from equipoise.tools.sites import Sites

_COUNTS: Final = {
    "in_genotypes": "in the genotypes",
    "not_in_phenotypes": "not in the table",
    "without_trait": "without the trait",
    "without_covariate": "without a covariate",
    "taken": "taken",
    "phenotypes_not_in_genotypes": "in the table only",
}

__all__ = ["Reduction", "write_page"]


def write_page(
    path: Path,
    sites: Sites,
    rows: Rows,
    wanted: Wanted,
    said: Mapping[str, Any],
    reduction: Reduction,
) -> dict[str, Any]:
    """Write what is wanted beside the table at `path`; return the figures of the check."""
    ld = _regression(sites, rows, wanted) if wanted.ld_scores else None
    if wanted.report is not None:
        summary = Summary(
            trait=said["trait"],
            genome_build=wanted.build or "a build not stated",
            model=said["model"],
            equipoise=equipoise.__version__,
            table=path.name,
            covariates=said["covariates"],
            people={
                site: {_COUNTS[name]: n for name, n in counts.items()}
                for site, counts in said["people"].items()
            },
            cases=said.get("cases"),
            controls=said.get("controls"),
            ld=ld,
            ld_note="LD scores from the files given" if ld else "not checked: give --ld-scores",
        )
        write_whole(wanted.report, [association_report(reduction, summary)])
    if wanted.plots is not None:
        wanted.plots.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures(reduction).items():
            write_svg(wanted.plots / f"{path.name.split('.')[0]}.{name}.svg", picture)
    if ld is None:
        return {}
    said_of_it = {
        "value": round(ld.intercept, 4),
        "standard_error": round(ld.intercept_se, 4),
        "variants": ld.variants,
    }
    return {"ld_score_intercept": said_of_it}


def _regression(sites: Sites, rows: Rows, wanted: Wanted) -> LdRegression:
    names = sites.variants.chromosome.tolist()
    read = ld_score_file.read(wanted.ld_scores)
    scores = ld_score_file.matched(read, names, sites.variants.position)
    return ld_regression(chi_square(rows.neg_log_10_p), scores)
