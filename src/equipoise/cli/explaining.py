"""`equipoise explain`: what one person's score is made of, from their own site's file."""

import json
from pathlib import Path
from typing import Any

from equipoise.artefacts import explanations
from equipoise.errors import InputError

_WIDTH = 24


def explain_and_tell(folder: Path, participant: str, as_json: bool) -> None:
    """Print a person's explanation; InputError where there is none."""
    site, found = _find(folder, participant)
    content = {"site": site, **found}
    print(json.dumps(content, indent=1) if as_json else _text(content))


def _find(folder: Path, participant: str) -> tuple[str, dict[str, Any]]:
    files = sorted(folder.glob(f"sites/*/{explanations.NAME}"))
    if (folder / explanations.NAME).is_file():
        files.append(folder / explanations.NAME)
    if not files:
        raise InputError(
            f"{folder} holds no {explanations.NAME}; expected the folder of a run, or that of one"
            " of its sites; explanations stay at the sites"
        )
    found = [(file.parent.name, explanations.find(file, participant)) for file in files]
    known = [(site, content) for site, content in found if content is not None]
    if len(known) > 1:
        raise InputError(
            f"{folder}: {len(known)} sites have somebody of this ID; give the folder of one of"
            f" them: {', '.join(site for site, _ in known)}, in {folder / 'sites'}"
        )
    if known:
        return known[0]
    raise InputError(
        f"{folder}: nobody of this ID took part; IDs are those of the site's genotype file, and"
        " who was not admitted has no explanation"
    )


def _chance(probability: float) -> str:
    """Return a probability in hundredths, never as none or all of them.

    >>> _chance(0.934), _chance(0.0001), _chance(0.9999)
    ('93.4%', 'under 0.1%', 'over 99.9%')
    """
    if probability < 0.0005:
        return "under 0.1%"
    return "over 99.9%" if probability >= 0.9995 else f"{probability:.1%}"


def _text(content: dict[str, Any]) -> str:
    parts = sorted(content["contributions"], key=lambda part: -abs(part["value"]))
    most = max((abs(part["value"]) for part in parts), default=0.0) or 1.0
    width = max((len(part["locus"]) for part in parts), default=0)
    lines = [
        f"Site {content['site']}. Probability of the trait: {_chance(content['probability'])}.",
        f"Score: {content['score']:+.3f}, log odds against an average person, from a model that"
        " never saw this person.",
        "",
        "What it is made of:",
    ]
    for part in parts:
        bar = ("+" if part["value"] > 0 else "-") * round(_WIDTH * abs(part["value"]) / most)
        lines.append(f"  {part['locus']:{width}}  {part['value']:+8.3f}  {bar}")
    total = sum(part["value"] for part in parts)
    lines += [
        f"  {'sum':{width}}  {total:+8.3f}",
        "",
        "A locus counts what this person's variants there add beyond what is usual for their"
        " ancestry;",
        "background is that usual part. This explains the model's answer, not a cause.",
    ]
    return "\n".join(lines)
