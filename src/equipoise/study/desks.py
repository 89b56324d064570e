"""The desk of a party that has the study file: it approves what follows from that."""

from equipoise.federation.desk import Desk
from equipoise.federation.identity import Identity, Peers
from equipoise.federation.journal import Journal
from equipoise.federation.spent import Spent
from equipoise.genotypes.variants import Variants
from equipoise.ledger.log import Log
from equipoise.plan import Plan
from equipoise.study.compile import check_follows, public_study
from equipoise.study.records import Study


def desk_of(
    study: Study,
    variants: Variants,
    identity: Identity,
    peers: Peers,
    journal: Journal,
    ledger: Log,
    spent: Spent | None = None,
) -> Desk:
    """Return a desk; `spent`, where given, is what a site has spent of its people's privacy."""

    def approve(plan: Plan) -> None:
        check_follows(study, variants, plan)
        if spent is not None:
            spent.reserve(plan)

    return Desk(
        identity=identity,
        peers=peers,
        study=public_study(study),
        variants=variants.digest().hex(),
        publics={},
        approve=approve,
        journal=journal,
        ledger=ledger,
    )
