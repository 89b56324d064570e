"""LD scores from a file: LDSC's form, matched by place."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from equipoise.artefacts import ld_score_file
from equipoise.errors import InputError


def test_files_of_ldsc_are_read_and_matched_by_place(tmp_path: Path) -> None:
    one, two = tmp_path / "1.l2.ldscore.gz", tmp_path / "23.l2.ldscore"
    one.write_bytes(gzip.compress(b"CHR\tSNP\tBP\tL2\n1\trs1\t100\t2.5\n1\trs2\t200\tNA\n"))
    two.write_text("CHR SNP BP CM L2\n23 rs9 100 0.1 7\n23 rs10 100 0.1 8\n")
    scores = ld_score_file.read([one, two])
    assert scores.rows() == [("1", 100, 2.5), ("X", 100, 7.0), ("X", 100, 8.0)]
    found = ld_score_file.matched(scores, ["X", "1", "1", "2"], np.array([100, 100, 200, 100]))
    np.testing.assert_array_equal(found, [7.0, 2.5, np.nan, np.nan])


@pytest.mark.parametrize(
    "text", ["CHR\tBP\n1\t5\n", "CHR\tBP\tL2\n1\tx\t2\n", "\n", "CHR\tBP\tL2\n1\t5\tlow\n"]
)
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scores"
    path.write_text(text)
    with pytest.raises(InputError, match="LD scores with the columns CHR BP L2"):
        ld_score_file.read([path])
