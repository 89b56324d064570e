"""Risk models with scikit-learn's interface, for people whose rows are all in one place.

The same solvers as over sites (`solvers.risk_stages`), and the same training of a gene network
(`analyses.gene_network`, extra `network`), driven on arrays. Nothing here protects
anything: over sites, use a study.
"""

from equipoise.errors import InputError

try:
    import sklearn as _sklearn
except ImportError as error:
    raise InputError(
        "equipoise.learn needs scikit-learn, which is not installed;"
        " run: pip install 'equipoise[learn]'"
    ) from error

from equipoise.learn.estimators import PolygenicRisk, PolygenicRiskClassifier
from equipoise.learn.gene_networks import GeneNetwork, GeneNetworkClassifier

__all__ = ["GeneNetwork", "GeneNetworkClassifier", "PolygenicRisk", "PolygenicRiskClassifier"]
del _sklearn
