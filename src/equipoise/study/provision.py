"""What a coordinator hands over before a study runs: a start-up folder for each site."""

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from equipoise.errors import InputError
from equipoise.federation.homes import make_card
from equipoise.federation.identity import CENTRE
from equipoise.plan import KEEPER
from equipoise.study import file, folders
from equipoise.study.records import Study
from equipoise.transports import nvflare_certificates as certificates
from equipoise.transports import nvflare_startup as startup
from equipoise.transports.nvflare_startup import Card, Parties

AUTHORITY_KEY: Final = "authority.key"


def provision(
    path: Path, target: Path, cards: Sequence[Path], address: str, days: int = certificates.DAYS
) -> Parties:
    """Write start-up folders for the sites whose cards these are, whole or not at all.

    Where the study has a key keeper, its card is one of them.

    InputError where cards and sites of the study do not match, or a card is not whole.
    """
    study = file.read(path)
    startup.check_address(address)
    held = [startup.read_card(card) for card in cards]
    _check_names(study, held)
    final = folders.free(target)
    with folders.beside(final) as work:
        parties = _write(study, work / "out", held, address, days)
        (work / "out").replace(final)
    return parties


def public_file(study: Study) -> str:
    """Return the study file that everybody is handed: no path of any site is in it."""
    listed = study.variants.list.name
    return startup.study_file(cast("Mapping[str, Any]", study.public()), study.as_of, listed)


def _write(study: Study, folder: Path, cards: list[Card], address: str, days: int) -> Parties:
    home, now = folder / CENTRE, datetime.now(UTC)
    home.mkdir(mode=0o700, parents=True)
    everybody = [*cards, make_card(home, CENTRE)]
    key = certificates.make_key(home / AUTHORITY_KEY)
    authority = certificates.authority(key, study.id, now, days)
    keys = {card.name: card.signing_key for card in everybody}
    parties = Parties(study.id, address, keys)
    for card in everybody:
        signed = certificates.sign(authority, key, card.request, card.name, now=now, days=days)
        own, pem = folder / card.name, certificates.to_pem
        startup.write_startup(own, parties, pem(signed), pem(authority), public_file(study))
        shutil.copyfile(study.variants.list, own / study.variants.list.name)
        if file.read(own / startup.STUDY).public() != study.public():
            raise InputError(f"the study {study.id} cannot be handed over as a file; report it")
    return parties


def _check_names(study: Study, cards: list[Card]) -> None:
    keeper = [KEEPER] if study.protection.keeper else []
    wanted = sorted([*(site.name for site in study.sites), *keeper])
    given = sorted(card.name for card in cards)
    if wanted != given:
        raise InputError(
            f"the study has the sites {', '.join(wanted)}, the cards are of"
            f" {', '.join(given) or 'nobody'}; give the card of each site once"
            + (", and that of the key keeper (`equipoise keeper init`)" if keeper else "")
        )
