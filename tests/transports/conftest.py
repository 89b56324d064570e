"""A network on loopback, or a study that has been provisioned, for each test that asks for one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from equipoise.transports.nvflare_tls import Credentials
from study.small import draw, write
from transports.handed import Parts
from transports.net import Authority, Net


@pytest.fixture
def signer(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def net(signer: Authority) -> Iterator[Callable[..., Net]]:
    made: list[Net] = []

    def make(*sites: str, shows: Credentials | None = None) -> Net:
        made.append(Net(signer, *sites, shows=shows))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a study file that is not to be changed."""
    return write(tmp_path_factory.mktemp("small"), draw())


@pytest.fixture
def parts(small: Path, tmp_path: Path) -> Parts:
    return Parts(small, tmp_path)
