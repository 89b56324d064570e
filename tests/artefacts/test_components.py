"""A site's table of components: a column each, one row a person, whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from equipoise.artefacts import components

VALUE = st.floats(-1e3, 1e3, allow_subnormal=False)
TABLE = hnp.arrays(float, st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=VALUE)


@given(TABLE)
def test_nine_digits_come_back_in_the_order_of_columns_and_people(
    tmp_path_factory: pytest.TempPathFactory, values: NDArray[np.float64]
) -> None:
    path = tmp_path_factory.mktemp("components") / "components.tsv"
    ids = [f"p{i}" for i in range(len(values))]
    names = [f"PC{i + 1}" for i in range(values.shape[1])]
    components.write(path, ids, dict(zip(names, values.T, strict=True)))
    header, *rows = (line.split("\t") for line in path.read_text().splitlines())
    assert header == ["IID", *names]
    assert [row[0] for row in rows] == ids
    found = [[float(cell) for cell in row[1:]] for row in rows]
    # Half a unit in the ninth significant digit.
    np.testing.assert_allclose(found, values, rtol=5.01e-9, atol=0)


def test_the_file_is_the_one_that_the_documents_show(tmp_path: Path) -> None:
    path = tmp_path / "components.tsv"
    components.write(path, ["a", "b"], {"PC1": np.array([1.5, -2.0]), "PC3": np.array([0.1, 0.0])})
    assert path.read_bytes() == b"IID\tPC1\tPC3\na\t1.5\t0.1\nb\t-2\t0\n"


@pytest.mark.parametrize(
    "columns",
    [
        {"PC1": np.zeros(1)},
        {"PC1": np.zeros(3)},
        {"PC1": np.zeros(2), "PC2": np.zeros(3)},
        {"PC1": np.zeros((2, 1)), "PC2": np.zeros(1)},
        {},
    ],
)
def test_columns_of_other_lengths_are_a_fault_and_leave_the_old_file(
    columns: dict[str, NDArray[np.float64]], tmp_path: Path
) -> None:
    path = tmp_path / "components.tsv"
    path.write_text("before")
    with pytest.raises(ValueError, match=r"argument|dimensions|need at least one array"):
        components.write(path, ["a", "b"], columns)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("components.tsv", "before")]
