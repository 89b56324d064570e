"""A small study provisioned for sites of their own: homes, cards and start-up folders."""

import threading
from pathlib import Path
from typing import Any

from equipoise.errors import EquipoiseError
from equipoise.federation.homes import SITE_FILE, make_home
from equipoise.ledger.reading import read as read_ledger
from equipoise.study.coordinate import coordinate
from equipoise.study.provision import provision
from equipoise.study.serve import serve
from study.small import SITES
from transports.net import free_port


class Parts:
    """A study, a home for each site, and the folders that the coordinator hands over."""

    def __init__(self, study: Path, folder: Path) -> None:
        self.folder, self.study = folder, study
        self.homes = {name: folder / "homes" / name for name in SITES}
        for name, home in self.homes.items():
            make_home(home, name)
            kinds = {"genotypes": "bed", "phenotypes": "tsv", "consents": "tsv"}
            rows = [f'{k} = "{study.parent}/{name}/{k}.{end}"' for k, end in kinds.items()]
            (home / SITE_FILE).write_text("\n".join(rows))
        self.cards = [home / f"{name}.json" for name, home in self.homes.items()]
        self.handed = folder / "handed"
        self.address = f"127.0.0.1:{free_port()}"
        provision(study, self.handed, self.cards, self.address)

    @property
    def centre(self) -> Path:
        return self.handed / "centre"

    def serve(self, name: str, out: Path, **named: Any) -> bool:
        study = self.handed / name / "study.toml"
        return serve(self.homes[name], study, out=out, signed=False, **named).ended


def run_with(parts: Parts, **named: Any) -> tuple[Exception | None, dict[str, Exception | None]]:
    """Run with sites as threads of this process; return what the centre and each site raised."""
    stop, ended = threading.Event(), dict[str, Exception | None]()

    def serve(name: str) -> None:
        try:
            parts.serve(name, parts.folder / "sites" / name, stop=stop)
            ended[name] = None
        except EquipoiseError as error:
            ended[name] = error

    threads = [threading.Thread(target=serve, args=(name,)) for name in SITES]
    for thread in threads:
        thread.start()
    raised: Exception | None = None
    try:
        coordinate(parts.centre / "study.toml", parts.folder / "out", **named)
    except EquipoiseError as error:
        raised = error
    stop.set()
    for thread in threads:
        thread.join(30)
    return raised, ended


def reasons(ledger: Path) -> list[str]:
    return [str(e.body["reason"]) for e in read_ledger(ledger).entries if e.kind == "refusal"]
