"""What `equipoise train --network` writes: the network in a folder, and what there is to say of it."""

from math import isfinite
from pathlib import Path
from typing import Any, Final

import numpy as np

from equipoise.analyses.gene_network_result import COMPARE, STOP, TRAIN, TrainedNetwork
from equipoise.artefacts import model_files
from equipoise.models.network_model import NetworkModel, from_parts, to_parts
from equipoise.tools.train import Trained
from equipoise.tools.train_network import Network
from equipoise.tools.train_scores import MOST_SCORE, scales, trait_mean

NAME: Final = "network"
"""Of the folder and the two files in it."""

PARTS: Final = {"train": TRAIN, "stop": STOP, "compare": COMPARE}


def save(folder: Path, model: NetworkModel) -> None:
    """Write a network to a folder: `network.safetensors` and `network.json`."""
    model_files.save(folder, *to_parts(model), NAME)


def load(folder: Path) -> NetworkModel:
    """Return the network of a folder; InputError where it is not as it was saved."""
    return from_parts(*model_files.load(folder, NAME), where=str(folder))


def model_of(trained: Trained, network: Network, build: str) -> NetworkModel:
    """Return a training's network by itself."""
    analysis, listed = network.analysis, trained.sites.variants
    frequencies, (means, spreads) = trained.known["frequency"], scales(trained)
    binary = trained.request.binary
    trait = (0.0, 1.0) if binary else (trait_mean(trained), float(trained.columns.scale[0]))
    return NetworkModel(
        trait=trained.request.trait,
        build=build,
        table=network.asked.table,
        binary=binary,
        groups=trained.groups,
        covariates=trained.columns.covariates,
        genes=network.genes.names,
        starts=np.array(analysis.starts, np.int64),
        stops=np.array(analysis.stops, np.int64),
        sizes=np.array([analysis.width, analysis.attention, analysis.hidden], np.int64),
        parameters=network.result.parameters,
        linear=network.result.linear,
        mean=frequencies.mean_at(np.arange(analysis.n_variants)),
        used=frequencies.used.astype(np.int64),
        position=np.asarray(listed.position, np.int64),
        chromosome=tuple(map(str, listed.chromosome.tolist())),
        effect_allele=tuple(map(str, listed.effect_allele.tolist())),
        other_allele=tuple(map(str, listed.other_allele.tolist())),
        centre=np.append(means, trait[0]),
        scale=np.append(spreads, trait[1]),
        bounds=np.array([MOST_SCORE, *analysis.bounds[:-1]]),
    )


def summary(network: Network) -> dict[str, Any]:
    """Return what there is to say of a network, for JSON.

    Losses are means over people: logistic, or half the squared error in standard deviations of
    the trait.
    """
    result, asked = network.result, network.asked
    (own, linear), (gain, error) = result.losses, result.gain
    return {
        "recommended": result.recommended,
        "recommendation": result.recommendation,
        "losses": {"network": _number(own), "linear": _number(linear)},
        "gain": {"value": _number(gain), "standard_error": _number(error)},
        "people": {
            name: {"people": int(result.counts[p, 0]), **_with_trait(network, p)}
            for name, p in PARTS.items()
        },
        "rounds": {
            "asked": asked.rounds,
            "most": network.analysis.rounds,
            "run": result.rounds,
            "of_the_network": len(result.history),
        },
        "best_round": result.best_round + 1 if result.best_round >= 0 else None,
        "width": network.analysis.width,
        "genes": {
            "table": asked.table,
            "margin": asked.margin,
            "of_the_table": network.of_table,
            "read": len(network.genes.names),
            "variants_outside": network.genes.outside,
        },
        "columns": {
            "each_round": network.columns,
            "told": network.columns * result.rounds if network.allowed is not None else None,
            "allowed": network.allowed,
        },
        "by_round": _by_round(result),
    }


def _with_trait(network: Network, p: int) -> dict[str, int]:
    return {"with_trait": int(network.result.counts[p, 1])} if network.analysis.binary else {}


def _by_round(result: TrainedNetwork) -> dict[str, dict[str, list[float]]]:
    """Return mean losses of each round of the network, by part, of it and of the linear model."""
    found: dict[str, dict[str, list[float]]] = {"network": {}, "linear": {}}
    for name, p in PARTS.items():
        n = max(int(result.counts[p, 0]), 1)
        own, more = result.history[:, p, 0] / n, result.history[:, p, 1] / n
        found["network"][name] = np.round(own, 6).tolist()
        found["linear"][name] = np.round(own + more, 6).tolist()
    return found


def _number(value: float) -> float | None:
    return round(value, 6) if isfinite(value) else None
