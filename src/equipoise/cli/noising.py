"""What noise costs and comes to, in words, wherever a plan is shown before it runs."""

from collections.abc import Mapping
from typing import Any

from equipoise.dossier.words import odds


def noise_in_words(told: Mapping[str, Any]) -> list[str]:
    """Return lines on a privacy budget: what it means, its price by step, the noise in totals."""
    lines = [
        f"Privacy budget of one run: epsilon {told['epsilon']:g} at delta {told['delta']:g}; of all"
        f" runs of the study at a site: epsilon {told['study_epsilon']:g}.",
        f"  Whatever is published is at most {odds(told['epsilon'])} as likely as had one person's",
        f"  data been empty, but for a chance of {told['delta']:g}.",
        "Spent after each step, and the standard deviation of the noise in its totals:",
    ]
    for name, own in told["steps"].items():
        sums = own["standard_deviation_of_noise"]
        lines.append(f"  {name}: epsilon {own['epsilon_so_far']:.3g}")
        lines += [f"    {field}: {sd:,.4g}" for field, sd in sums.items()]
    return lines
