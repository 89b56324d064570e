"""The Merkle tree against RFC 6962's definitions, known answers and outside vectors."""

import base64
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import InputError, IntegrityError
from equipoise.ledger import tree

VECTORS = Path(
    os.environ.get(
        "EQUIPOISE_VECTORS", Path(__file__).resolve().parents[2].parent / "shared/vectors"
    )
)

# The leaves, roots and proofs that every implementation of Certificate Transparency tests with.
DATA = [
    bytes.fromhex(text)
    for text in [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [tree.leaf_hash(data) for data in DATA]


# The slow twins: the recursive definitions, word for word.


def slow_split(size):
    width = 1
    while width * 2 < size:
        width *= 2
    return width


def slow_root(leaves):
    if not leaves:
        return tree.EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = slow_split(len(leaves))
    return tree.node_hash(slow_root(leaves[:k]), slow_root(leaves[k:]))


def slow_path(m, leaves):
    if len(leaves) == 1:
        return []
    k = slow_split(len(leaves))
    if m < k:
        return [*slow_path(m, leaves[:k]), slow_root(leaves[k:])]
    return [*slow_path(m - k, leaves[k:]), slow_root(leaves[:k])]


def slow_subproof(m, leaves, whole):
    if m == len(leaves):
        return [] if whole else [slow_root(leaves)]
    k = slow_split(len(leaves))
    if m <= k:
        return [*slow_subproof(m, leaves[:k], whole), slow_root(leaves[k:])]
    return [*slow_subproof(m - k, leaves[k:], False), slow_root(leaves[:k])]


def numbered(size):
    return [tree.leaf_hash(str(i).encode()) for i in range(size)]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_known_answers(size):
    assert tree.root(LEAVES[:size]).hex() == ROOTS[size]


def test_inclusion_proofs_are_the_known_answers():
    assert [node.hex() for node in tree.inclusion_proof(5, LEAVES)] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_consistency_proofs_are_the_known_answers():
    assert [node.hex() for node in tree.consistency_proof(6, LEAVES)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert [node.hex() for node in tree.consistency_proof(2, LEAVES[:5])] == [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ]


def test_inclusion_agrees_with_the_outside_vectors():
    files = sorted((VECTORS / "merkle/inclusion").rglob("*.json"))
    if not files:
        pytest.skip(f"no outside vectors in {VECTORS}; set EQUIPOISE_VECTORS")
    accepted = 0
    for file in files:
        case = json.loads(file.read_text())
        proof = [base64.b64decode(node) for node in case["proof"] or []]
        leaf, root = base64.b64decode(case["leafHash"]), base64.b64decode(case["root"])
        if case["wantErr"]:
            with pytest.raises(IntegrityError):
                tree.verify_inclusion(leaf, case["leafIdx"], case["treeSize"], proof, root)
        else:
            tree.verify_inclusion(leaf, case["leafIdx"], case["treeSize"], proof, root)
            accepted += 1
    assert (len(files), accepted) == (98, 6)


def test_roots_and_proofs_equal_the_recursive_twin_at_every_small_size():
    leaves = numbered(20)
    for size in range(21):
        assert tree.root(leaves[:size]) == slow_root(leaves[:size])
        for index in range(size):
            assert list(tree.inclusion_proof(index, leaves[:size])) == slow_path(
                index, leaves[:size]
            )
        for old in range(1, size + 1):
            expected = slow_subproof(old, leaves[:size], True)
            assert list(tree.consistency_proof(old, leaves[:size])) == expected


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_leaf_is_proved_and_no_altered_proof_is(data):
    size = data.draw(st.integers(1, 70))
    index = data.draw(st.integers(0, size - 1))
    leaves = numbered(size)
    root, proof = slow_root(leaves), tree.inclusion_proof(index, leaves)
    assert list(proof) == slow_path(index, leaves)
    tree.verify_inclusion(leaves[index], index, size, proof, root)
    wrong = bytes(32)
    other = data.draw(st.integers(-2, size + 2).filter(lambda i: i != index))
    bad = [
        (wrong, index, size, proof, root),
        (leaves[index], index, size, proof, wrong),
        (leaves[index], other, size, proof, root),
        (leaves[index], index, size, (*proof, wrong), root),
        (leaves[index], index, size, (wrong, *proof), root),
        *(
            (leaves[index], index, size, proof[:i] + proof[i + 1 :], root)
            for i in range(len(proof))
        ),
        *(
            (leaves[index], index, size, (*proof[:i], wrong, *proof[i + 1 :]), root)
            for i in range(len(proof))
        ),
    ]
    for case in bad:
        with pytest.raises(IntegrityError):
            tree.verify_inclusion(*case)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_growth_is_proved_and_no_altered_proof_is(data):
    new = data.draw(st.integers(1, 70))
    old = data.draw(st.integers(1, new))
    leaves = numbered(new)
    old_root, new_root = slow_root(leaves[:old]), slow_root(leaves)
    proof = tree.consistency_proof(old, leaves)
    assert list(proof) == slow_subproof(old, leaves, True)
    tree.verify_consistency(old, new, old_root, new_root, proof)
    wrong = bytes(32)
    bad = [
        (old, new, wrong, new_root, proof),
        (old, new, old_root, wrong, proof),
        (new + 1, new, old_root, new_root, proof),
        (-1, new, old_root, new_root, proof),
        (old, new, old_root, new_root, (*proof, wrong)),
        *((old, new, old_root, new_root, proof[:i] + proof[i + 1 :]) for i in range(len(proof))),
        *(
            (old, new, old_root, new_root, (*proof[:i], wrong, *proof[i + 1 :]))
            for i in range(len(proof))
        ),
    ]
    for case in bad:
        with pytest.raises(IntegrityError):
            tree.verify_consistency(*case)


def test_a_rewritten_past_has_no_consistency_proof():
    leaves = numbered(9)
    rewritten = [leaves[0], tree.leaf_hash(b"other"), *leaves[2:]]
    proof = tree.consistency_proof(5, rewritten)
    with pytest.raises(IntegrityError, match="another root"):
        tree.verify_consistency(5, 9, tree.root(leaves[:5]), tree.root(rewritten), proof)


def test_a_proof_is_as_long_as_the_tree_is_high():
    # without that check leaf 1 of 2 would pass as leaf 0 of 1
    with pytest.raises(IntegrityError, match="more nodes"):
        tree.verify_inclusion(LEAVES[1], 0, 1, [LEAVES[0]], tree.root(LEAVES[:2]))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_hash_of_another_length_is_refused(size):
    short, root = bytes(size), tree.root(LEAVES)
    for case in [(short, 0, 1, (), root), (root, 0, 1, (), short), (root, 0, 2, (short,), root)]:
        with pytest.raises(IntegrityError, match=f"a hash of {size} bytes"):
            tree.verify_inclusion(*case)
    for case in [(1, 1, short, root, ()), (1, 1, root, short, ()), (1, 2, root, root, (short,))]:
        with pytest.raises(IntegrityError, match=f"a hash of {size} bytes"):
            tree.verify_consistency(*case)


def test_every_tree_continues_the_empty_one():
    leaves = numbered(3)
    root = tree.root(leaves)
    assert tree.consistency_proof(0, leaves) == ()
    tree.verify_consistency(0, 3, tree.EMPTY_ROOT, root, ())
    tree.verify_consistency(0, 0, tree.EMPTY_ROOT, tree.EMPTY_ROOT, ())
    for old, new, old_root, new_root, proof in [
        (0, 3, root, root, ()),
        (0, 3, tree.EMPTY_ROOT, root, (root,)),
        (0, 0, tree.EMPTY_ROOT, root, ()),
    ]:
        with pytest.raises(IntegrityError):
            tree.verify_consistency(old, new, old_root, new_root, proof)


@given(st.lists(st.binary(max_size=4), max_size=80))
def test_the_frontier_has_the_root_of_the_recursive_twin_and_few_peaks(entries):
    frontier = tree.Frontier()
    for entry in entries:
        frontier = frontier.add(tree.leaf_hash(entry))
    assert frontier.root == slow_root([tree.leaf_hash(entry) for entry in entries])
    assert len(frontier.peaks) == len(entries).bit_count()


def test_a_leaf_or_a_proof_that_does_not_exist_is_an_input_error():
    for index in (-1, 8):
        with pytest.raises(InputError, match="expected 0 to 7"):
            tree.inclusion_proof(index, LEAVES)
    for size in (-1, 9):
        with pytest.raises(InputError, match="expected 0 to 8"):
            tree.consistency_proof(size, LEAVES)
    with pytest.raises(InputError, match="expected 32"):
        tree.root([b"not a hash"])
