"""Names to classes: the closed set of what a plan may name."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, cast

from equipoise.analyses.absolute_risk import AbsoluteRisk
from equipoise.analyses.ancestry_map import AncestryCounts, AncestryMap, AncestryMapState
from equipoise.analyses.calibrated_risks import AbsoluteRisks, AbsoluteRiskState
from equipoise.analyses.calibration import Calibrated, Calibration, CalibrationState
from equipoise.analyses.census import Census, CensusState, People
from equipoise.analyses.components import ComponentLoadings, Components, ComponentsState
from equipoise.analyses.elastic import ElasticNet
from equipoise.analyses.frequency import Frequencies, Frequency, FrequencyState
from equipoise.analyses.gene_network import GeneNetwork, GeneNetworkState
from equipoise.analyses.gene_network_result import TrainedNetwork
from equipoise.analyses.hardy import Hardy, HardyState, HardyWeinberg
from equipoise.analyses.ld_blocks import LdBlocks, LdBlockSearch, LdBlocksState
from equipoise.analyses.linear import Association, LinearScan, LinearState
from equipoise.analyses.moment_totals import MomentsState, MomentTotals
from equipoise.analyses.moments import Moments
from equipoise.analyses.nets import ElasticState, Nets
from equipoise.analyses.performance import Performance, PerformanceResult, PerformanceState
from equipoise.analyses.pruning import Pruned, Pruning, PruningState
from equipoise.analyses.recalibration import (
    Recalibration,
    RecalibrationResult,
    RecalibrationState,
)
from equipoise.analyses.relevance import Relevance, RelevanceState, RelevanceTotals
from equipoise.analyses.residual_sums import ResidualSums, ResidualTotals
from equipoise.analyses.risk_fits import (
    RiskJoint,
    RiskMethods,
    RiskParts,
    RiskRefined,
    RiskSingles,
    RiskStack,
)
from equipoise.analyses.risk_moments import ColumnSums, RiskMoments
from equipoise.analyses.risk_records import Begun, Candidates, GroupWeights, RefinedTrait
from equipoise.analyses.scan import Scan, ScanState, ScanTotals
from equipoise.analyses.score_adjustment import (
    AdjustedScore,
    ScoreAdjustment,
    ScoreAdjustmentState,
)
from equipoise.analyses.score_sums import ScoreSums, ScoreTotals
from equipoise.analyses.strata import Strata, StrataState, Stratification
from equipoise.analyses.tuned import Tuned
from equipoise.analyses.tuning import Tuning, TuningState
from equipoise.analysis import Analysis
from equipoise.errors import ProtocolError
from equipoise.plan import Ref, Step

ANALYSES: Mapping[str, type] = {
    "census": Census,
    "frequency": Frequency,
    "strata": Stratification,
    "hardy": Hardy,
    "ancestry_map": AncestryMap,
    "linear": LinearScan,
    "scan": Scan,
    "ld_blocks": LdBlockSearch,
    "moments": Moments,
    "risk_parts": RiskParts,
    "risk_moments": RiskMoments,
    "risk_singles": RiskSingles,
    "score_sums": ScoreSums,
    "risk_joint": RiskJoint,
    "risk_stack": RiskStack,
    "residual_sums": ResidualSums,
    "risk_refined": RiskRefined,
    "risk_methods": RiskMethods,
    "elastic_net": ElasticNet,
    "tuning": Tuning,
    "calibration": Calibration,
    "relevance": Relevance,
    "gene_network": GeneNetwork,
    "pruning": Pruning,
    "components": Components,
    "performance": Performance,
    "recalibration": Recalibration,
    "absolute_risk": AbsoluteRisk,
    "score_adjustment": ScoreAdjustment,
}

RECORDS: Mapping[str, type] = {
    kind.__name__: kind
    for kind in (
        CensusState,
        People,
        FrequencyState,
        Frequencies,
        StrataState,
        Strata,
        HardyState,
        HardyWeinberg,
        AncestryMapState,
        AncestryCounts,
        LinearState,
        Association,
        ScanState,
        ScanTotals,
        LdBlocksState,
        LdBlocks,
        MomentsState,
        MomentTotals,
        Begun,
        ColumnSums,
        Candidates,
        ScoreTotals,
        GroupWeights,
        ResidualTotals,
        RefinedTrait,
        ElasticState,
        Nets,
        TuningState,
        Tuned,
        CalibrationState,
        Calibrated,
        RelevanceState,
        RelevanceTotals,
        GeneNetworkState,
        TrainedNetwork,
        PruningState,
        Pruned,
        ComponentsState,
        ComponentLoadings,
        PerformanceState,
        PerformanceResult,
        RecalibrationState,
        RecalibrationResult,
        AbsoluteRiskState,
        AbsoluteRisks,
        ScoreAdjustmentState,
        AdjustedScore,
    )
}

_SCIENCE = ("analyses", "models", "solvers", "packed")
_CONTRACTS = ("analysis.py", "cohort.py", "record.py", "step.py", "sums.py", "plan.py")


def build(step: Step, results: Mapping[str, Any] | None) -> Analysis[Any, Any]:
    """Return the analysis that a step names, its references filled from `results`.

    Without results, as when a plan is judged, references are None: enough for
    `schema(start())`. ProtocolError for an unknown name, parameter or reference.
    """
    if step.analysis not in ANALYSES:
        raise ProtocolError(f"there is no analysis {step.analysis!r} in this package")
    parameters: dict[str, Any] = {}
    for name, value in step.parameters.items():
        if isinstance(value, Ref):
            if results is not None and value.step not in results:
                raise ProtocolError(f"{step.name} refers to {value.step!r}, which is no result")
            parameters[name] = None if results is None else results[value.step]
        else:
            parameters[name] = value
    try:
        return cast("Analysis[Any, Any]", ANALYSES[step.analysis](**parameters))
    except TypeError as error:
        raise ProtocolError(f"{step.name} has parameters that {step.analysis} does not") from error


@cache
def sources() -> str:
    """Return the SHA-256 over the code that computes sums and what follows from them."""
    root, joint = files("equipoise"), hashlib.sha256()
    paths = [root / name for name in _CONTRACTS]
    for folder in _SCIENCE:
        if (root / folder).is_dir():
            inside = (root / folder).iterdir()
            paths += sorted((p for p in inside if p.name.endswith(".py")), key=lambda p: p.name)
    for path in paths:
        joint.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return joint.hexdigest()
