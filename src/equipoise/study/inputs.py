"""What a run reads: a study file, the public list of variants, and each site's own files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from equipoise.errors import InputError, Problem
from equipoise.federation.load import Files, Loaded, load
from equipoise.genotypes import variants as variant_list
from equipoise.genotypes.variants import Variants
from equipoise.study import file
from equipoise.study.records import Study


@dataclass(frozen=True, slots=True)
class Inputs:
    """A study file, the public list of variants, and what every site has loaded."""

    study: Study
    variants: Variants
    loaded: Mapping[str, Loaded]


def read_inputs(path: Path) -> Inputs:
    """Read a study file and all it names; InputError with every problem of every file."""
    study = file.read(path)
    problems: list[Problem] = []
    listed = None
    try:
        listed = variant_list.read(study.variants.list)
    except InputError as error:
        problems += _problems(study.variants.list, error)
    loaded: dict[str, Loaded] = {}
    for site in study.sites:
        try:
            files = Files(site.genotypes, site.phenotypes, site.consents)
            loaded[site.name] = load_site(study, files, listed)
        except InputError as error:
            problems += _problems(site.genotypes.parent, error)
    if listed is None or len(loaded) < len(study.sites):
        raise InputError(problems)
    return Inputs(study, listed, loaded)


def load_site(study: Study, files: Files, listed: Variants | None) -> Loaded:
    """Return what a site's files hold for a study; InputError with every problem of them."""
    return load(
        files,
        listed,
        trait=study.trait.name,
        covariates=study.covariates.columns,
        groups=study.audit.groups if study.audit else (),
        purpose=study.purpose,
        as_of=study.as_of,
    )


def _problems(path: Path, error: InputError) -> Sequence[Problem]:
    said = [Problem(str(path), None, str(error), "none", "mend it")] if str(error) else []
    return error.problems or said
