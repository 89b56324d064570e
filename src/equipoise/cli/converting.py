"""`equipoise convert`: genotypes of any format, written as PLINK 1 or PGEN."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from equipoise.cli.progress import bar
from equipoise.genotypes.bgen_index import Reference
from equipoise.genotypes.opening import open_genotypes
from equipoise.tools.convert import Report, convert


def convert_and_tell(
    paths: Sequence[Path], out: Path, as_json: bool, reference: Reference = "first"
) -> None:
    """Write the genotypes of one site to `out`, and print what could not be kept."""
    with bar("reading") as told:
        source = open_genotypes(paths, reference, told)
    with bar("writing") as told:
        report = convert(source, out, told)
    print(json.dumps(_content(report), indent=1) if as_json else _text(report))


def _content(report: Report) -> dict[str, Any]:
    return {
        "files": [str(file) for file in report.files],
        "samples": report.n_samples,
        "variants": report.n_variants,
        "left_out": dict(report.left_out),
        "dosages_rounded": report.rounded,
        "greatest_loss": report.greatest_loss,
        "mean_loss": report.mean_loss,
        "dosages_not_called": report.lost,
        "hard_calls_remade": report.calls_remade,
        "not_kept": list(report.not_kept),
    }


def _text(report: Report) -> str:
    lines = [
        f"Wrote {report.n_variants:,} variants of {report.n_samples:,} people: "
        + ", ".join(str(file) for file in report.files),
        *(f"  left out: {count:,} records, {why}" for why, count in report.left_out.items()),
    ]
    if report.rounded:
        lines.append(
            f"  rounded: {report.rounded:,} dosages, by {report.mean_loss:.2g} on average and"
            f" {report.greatest_loss:.2g} at most"
        )
    if report.lost:
        lines.append(f"  not called: {report.lost:,} dosages further than 0.1 from a whole number")
    if report.calls_remade:
        lines.append(
            f"  hard calls made anew from dosages, otherwise than before: {report.calls_remade:,}"
        )
    lines += [f"  not kept: {what}" for what in report.not_kept]
    return "\n".join(lines)
