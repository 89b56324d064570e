"""A coordinator's run that has not ended: kept beside where its results will be."""

import json
import secrets
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import equipoise
from equipoise.artefacts.files import write_whole
from equipoise.errors import InputError, IntegrityError
from equipoise.federation import agreement, registry
from equipoise.federation.identity import CENTRE, Identity, Peers
from equipoise.ledger.log import Log
from equipoise.ledger.retraced import Retraced
from equipoise.study.compile import public_study
from equipoise.study.records import Study
from equipoise.study.writing import enter_parties

_RUN = "run.json"
_NOT_RETRACED = ("refusal",)
"""Kinds of entries that follow from who knocked, not from what the run did."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A folder with all that is needed to go on.

    id  tells a run from another of the same study
    """

    folder: Path
    id: str

    @staticmethod
    def beside(target: Path, study: Study, *, anew: bool = False) -> "Unfinished":
        """Return the run that was begun for `target`, else one that begins.

        InputError where it is of another study, or of another version of this package.
        """
        folder = target.with_name(f".{target.name}.unfinished")
        said = {
            "study": study.public(),
            "package": equipoise.__version__,
            "sources": registry.sources(),
        }
        if anew:
            shutil.rmtree(folder, ignore_errors=True)
        if not (folder / _RUN).exists():
            shutil.rmtree(folder, ignore_errors=True)  # nobody was asked before it was written
            folder.mkdir(parents=True, mode=0o700)
            write_whole(folder / _RUN, [json.dumps({"id": secrets.token_hex(16), **said})])
        try:
            begun = json.loads((folder / _RUN).read_text("utf-8"))
            run = str(begun.pop("id"))
        except (ValueError, KeyError, AttributeError) as error:
            raise IntegrityError(f"{folder / _RUN} is not what was kept; take --anew") from error
        if begun != json.loads(json.dumps(said)):
            raise InputError(
                f"the run that is kept in {folder} was begun with another study file or version of"
                " this package; go on with those, or begin again with --anew"
            )
        return Unfinished(folder, run)

    @property
    def out(self) -> Path:
        """What becomes the results."""
        return self.folder / "out"

    @property
    def answers(self) -> Path:
        """What sites answered so far."""
        return self.folder / "answers"

    def ledger(self, study: Study, identity: Identity, peers: Peers) -> Retraced:
        """Return the run's ledger, which expects again what it has."""
        origin, place = f"equipoise/{study.id}/{CENTRE}", self.out / "ledger"
        if place.exists():
            log = Retraced.open(place, origin, identity.signing).retrace(_NOT_RETRACED)
        else:
            log = Retraced.create(place, origin, identity.signing)
        enter_parties(log, peers.keys, agreement.keeper(public_study(study), peers.keys))
        return log

    def forget(self) -> None:
        """Remove what is left of it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def lost(log: Log) -> Collection[str]:
    """Return the sites without which a run went on."""
    return {str(entry.body["site"]) for entry in log.entries() if entry.kind == "lost"}
