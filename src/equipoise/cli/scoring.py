"""`equipoise score`: polygenic scores by scoring files of the PGS Catalog."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from equipoise.artefacts import pgs_catalog
from equipoise.genotypes.matching import LEAST_MATCHED, USED
from equipoise.tools import score_files
from equipoise.tools.score import Scores, score
from equipoise.tools.sites import Sites, open_sites

_MEANING = {
    "matched": "as the genotypes spell and count it",
    "swapped": "the genotypes count the other allele",
    "other_strand": "spelled on the other strand",
    "ambiguous_kept": "A/T or C/G, taken as spelled",
    "ambiguous": "A/T or C/G, of unknown strand (--keep-ambiguous takes them as spelled)",
    "allele_mismatch": "the variants there have other alleles",
    "several_fit": "no other allele given, and several variants there fit",
    "absent": "no variant at the position",
    "duplicate": "an earlier weight is for the same allele",
    "not_called": "nobody is called there",
    "not_placed": "the scoring file gives no position",
    "haploid": "on Y or MT: not supported",
    "allele_form": "the effect allele is not spelled in bases: not supported",
}


def score_and_tell(
    genotypes: Sequence[str | Path],
    weights: Sequence[Path],
    out: Path,
    *,
    keep_ambiguous: bool = False,
    mean_imputation: bool = True,
    least_matched: float = LEAST_MATCHED,
    build: str | None = None,
    as_json: bool = False,
) -> None:
    """Score everybody, write the table and the report beside it, and say what was matched."""
    files = [pgs_catalog.read(path, build) for path in weights]
    opened = open_sites(genotypes)
    found = score(
        opened.sites,
        opened.variants,
        files,
        keep_ambiguous=keep_ambiguous,
        mean_imputation=mean_imputation,
        least_matched=least_matched,
        build=build,
    )
    report = score_files.write(out, opened.sites, found)
    tell(content_of(opened, found, out, report), as_json)


def content_of(opened: Sites, found: Scores, out: Path, report: Path) -> dict[str, Any]:
    """Return what there is to say of scores that were written."""
    return {
        "scores": score_files.summary(found),
        "people": {site.name: len(site.sample_ids) for site in opened.sites},
        "variants": opened.n_variants,
        "variants_only_some_sites_have": opened.only_some,
        "table": str(out),
        "report": str(report),
    }


def tell(content: dict[str, Any], as_json: bool) -> None:
    """Print it, as JSON or as text."""
    print(json.dumps(content, indent=1) if as_json else _text(content))


def _text(content: dict[str, Any]) -> str:
    lines: list[str] = []
    for one in content["scores"]:
        share = one["weight_share"]
        size = "" if share is None else f", {share:.1%} of the summed absolute weights"
        build = f" ({one['build']})" if one["build"] else ""
        lines.append(
            f"{one['score']}{build}: {one['used']} of {one['weights']} weights used{size}."
        )
        declared = one["weights_declared"]
        if declared not in (None, one["weights"]):
            lines.append(f"  Its header promises {declared} weights: the file may be cut short.")
        for reason, count in one["reasons"].items():
            if count:
                kind = "used" if reason in USED else "left out"
                said = _MEANING.get(reason, f"{reason.replace('_', ' ')}: not supported")
                lines.append(f"  {count:>9}  {kind:8}  {said}")
    people, some = content["people"], content["variants_only_some_sites_have"]
    if some:
        lines.append(f"{some} variants of the first site are not at every other: not used.")
    lines.append(
        f"Wrote {content['table']}: {sum(people.values())} people of {len(people)}"
        f" site{'' if len(people) == 1 else 's'}; and {content['report']}: each weight with its"
        " reason."
    )
    asked = content.get("encrypted")
    if asked:
        told = asked["weights_with_expected_dosage_from_owner"]
        lines.append(
            f"Scored by {asked['owner']}, which got {asked['requests']} encrypted"
            f" request{'' if asked['requests'] == 1 else 's'}; of {told} weights the owner said"
            " what to take for missing calls."
        )
    return "\n".join(lines)
