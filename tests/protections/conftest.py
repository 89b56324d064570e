"""One masked round for all tests of this folder."""

import pytest

from equipoise.protections.masked import Masked
from protections.recordings import FORM, constant
from protections.rounds import Round, start


@pytest.fixture(params=[True, False], ids=["may lose a site", "may lose none"])
def half_way(request: pytest.FixtureRequest) -> Round:
    """A round up to the masked messages, with all secrets still there."""
    return start(Masked(), FORM, constant(), may_lose=request.param).run(2)
