from collections.abc import Callable

import pytest

from equipoise.simulation.design import Design
from equipoise.simulation.run import simulate
from simulation.made import Folder

Make = Callable[[Design], Folder]


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Return what makes the folder of a design, each design once."""
    held: dict[Design, Folder] = {}

    def made(design: Design) -> Folder:
        if design.model == "coalescent":
            pytest.importorskip("msprime", reason="the extra `simulate` is not installed")
        if design not in held:
            held[design] = Folder(tmp_path_factory.mktemp("simulated") / "out")
            simulate(design, held[design].path)
        return held[design]

    return made
