"""`equipoise associate`: a genome scan of one trait or several."""

import json
from typing import Any

from equipoise.cli.progress import bar
from equipoise.tools.associate import Request, associate


def associate_and_tell(request: Request, as_json: bool) -> None:
    """Scan, write the tables, and say what came out."""
    with bar("association") as at:
        done = associate(request, at)
    traits = [dict(one.summary) for one in done]
    print(json.dumps({"traits": traits}, indent=1) if as_json else "\n\n".join(map(_text, traits)))


def _text(one: dict[str, Any]) -> str:
    lines = [f"Trait {one['trait']}: {one['variants']} variants, written to {one['table']}"]
    for site, counts in one["people"].items():
        lines.append(
            f"  {site}: {counts['taken']} of {counts['in_genotypes']} people" + _why(counts)
        )
    if one["dropped_covariates"]:
        dropped = ", ".join(one["dropped_covariates"])
        lines.append(f"  covariates dropped, constant or given by earlier ones: {dropped}")
    nines = one["trait_cells_of_minus_9_taken_as_missing"]
    if nines:
        lines.append(f"  {nines} cells of -9 in a trait taken as missing")
    if one.get("heterozygous_men_on_x"):
        lines.append(
            f"  {one['heterozygous_men_on_x']} calls of men on X are heterozygous, counted as one"
            " copy: errors, or the part that X shares with Y, which belongs under the name XY"
        )
    for reason, count in one["filtered"].items():
        if count:
            lines.append(f"  {count} variants left out by --{reason.replace('_', '-')}")
    for reason, count in one["left_out"].items():
        if count:
            lines.append(f"  {count} records left out: {reason}")
    lines.append("  " + ", ".join(f"{n} {word}" for word, n in one["status"].items()))
    if "top" in one:
        top = one["top"]
        lines.append(f"  strongest: {top['place']}, -log10 p = {top['neg_log_10_p_value']:.2f}")
    return "\n".join(lines)


def _why(counts: dict[str, int]) -> str:
    said = {
        "not_in_phenotypes": "not in the table",
        "without_trait": "without the trait",
        "without_covariate": "without a covariate",
    }
    why = [f"{counts[name]} {text}" for name, text in said.items() if counts[name]]
    more = counts["phenotypes_not_in_genotypes"]
    if more:
        why.append(f"{more} in the table have no genotypes here")
    return f" ({'; '.join(why)})" if why else ""
