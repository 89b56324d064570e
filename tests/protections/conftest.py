"""One masked round for all tests of this folder."""

import pytest

from equipoise.protections.masked import Masked
from protections.recordings import FORM, constant
from protections.rounds import Round, start


@pytest.fixture
def half_way() -> Round:
    """A round up to the masked messages, with all secrets still there."""
    return start(Masked(), FORM, constant()).run(2)
