"""What encrypted scores cost: the owner's work beside the clinic's encryption, bytes, error.

    python benchmarks/encrypted_scoring.py [--quick]

CPU seconds of one person's score at 110,000 to a million weights, one thread, medians of runs.
`make ready` is done once, when the owner's server starts. In the same run the scheme as it is
usually written, `slots`: TenSEAL's vectors of 4,096 values, multiplied and added by TenSEAL, with
zero-sum numbers added to the slots. The promise is that the owner's work is at most half of the
clinic's encryption; the share is printed for both. `over https` is the wall time of one request
between two threads of this machine. `batch` scores a thousand people by a small model in shared
ciphertexts, and one by one. Writes benchmarks/results/encrypted_scoring.json. --quick leaves it
at 110,000 weights.
"""

import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from time import perf_counter, process_time
from typing import Any

import numpy as np
import tenseal
from numpy.typing import NDArray
from peers import processor, written

from equipoise.protections.score_key import Key, new_seed
from equipoise.protections.score_scheme import Model, answer, error_bound, group_size
from equipoise.tools.encrypted_scoring import wire
from equipoise.tools.encrypted_scoring.certificates import make
from equipoise.tools.encrypted_scoring.client import Client
from equipoise.tools.encrypted_scoring.scorer import open_scorer
from equipoise.tools.encrypted_scoring.server import Certificates, Server

RUNS = 5
SIZES = (110_000, 250_000, 500_000, 1_000_000)
SLOTS = 4096
PEOPLE = 1000

Reals = NDArray[np.float64]


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return CPU seconds of a call, and what it returned."""
    began = process_time()
    found = function()
    return process_time() - began, found


def made(n_weights: int, people: int = 1) -> tuple[Reals, Reals]:
    """Return random weights of standard deviation .01, and dosages."""
    draw = np.random.default_rng(n_weights)
    frequency = draw.uniform(0.01, 0.5, n_weights)
    dosage = draw.binomial(2, frequency, (people, n_weights)).astype(float)
    return draw.normal(0, 0.01, n_weights), dosage


def ours(n_weights: int, key: Key) -> dict[str, Any]:
    """Return the figures of one person's score."""
    weights, dosage = made(n_weights)
    ready, model = timed(lambda: Model.of(weights))
    encryption, work, decryption, errors = [], [], [], []
    for _ in range(RUNS):
        seed = new_seed()
        spent, asked = timed(lambda seed=seed: key.ask(dosage, key.public(seed), seed, 0))
        encryption.append(spent)
        spent, answered = timed(lambda asked=asked: answer(model, asked, 1, os.urandom))
        work.append(spent)
        spent, found = timed(lambda answered=answered: key.scores(answered, n_weights))
        decryption.append(spent)
        errors.append(abs(float(found[0] - dosage[0] @ weights)))
    client, server = statistics.median(encryption), statistics.median(work)
    return {
        "make_ready_s": ready,
        "encryption_s": client,
        "server_s": server,
        "decryption_s": statistics.median(decryption),
        "server_share_of_encryption": server / client,
        "server_ns_per_weight": 1e9 * server / n_weights,
        "encryption_ns_per_weight": 1e9 * client / n_weights,
        "bytes_up": wire.asked_bytes(1, n_weights),
        "bytes_down": wire.answered_bytes(1, n_weights),
        "largest_error": max(errors),
        "error_bound": error_bound(weights),
    }


def slots(n_weights: int) -> dict[str, Any]:
    """Return the same of TenSEAL's own vectors, with the weights encoded as they are used."""
    weights, dosage = made(n_weights)
    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS, 2 * SLOTS, coeff_mod_bit_sizes=[60, 40, 60], n_threads=1
    )
    context.global_scale = 2**40
    public = context.copy()
    public.make_context_public()
    n_blocks = -(-n_weights // SLOTS)
    g = np.pad(dosage[0], (0, n_blocks * SLOTS - n_weights)).reshape(-1, SLOTS)
    w = np.pad(weights, (0, n_blocks * SLOTS - n_weights)).reshape(-1, SLOTS)

    def encrypted() -> list[bytes]:
        return [tenseal.ckks_vector(context, row).serialize() for row in g]

    def computed(sent: list[bytes]) -> bytes:
        total = None
        for data, row in zip(sent, w, strict=True):
            part = tenseal.ckks_vector_from(public, data) * row.tolist()
            total = part if total is None else total + part
        blind = np.random.default_rng().normal(size=SLOTS)
        return (total + (blind - blind.mean()).tolist()).serialize()

    def decrypted(reply: bytes) -> float:
        return sum(tenseal.ckks_vector_from(context, reply).decrypt())

    client, sent = timed(encrypted)
    server, reply = timed(lambda: computed(sent))
    decryption, found = timed(lambda: decrypted(reply))
    return {
        "encryption_s": client,
        "server_s": server,
        "decryption_s": decryption,
        "server_share_of_encryption": server / client,
        "bytes_up": sum(map(len, sent)),
        "bytes_down": len(reply),
        "error": abs(found - float(dosage[0] @ weights)),
    }


def over_https(n_weights: int, folder: Path) -> dict[str, Any]:
    """Return wall seconds of one person's request to a server on this machine."""
    weights, dosage = made(n_weights)
    rows = "".join(
        f"{1 + i % 22}\t{i + 1}\tA\tG\t{w:.9f}\n" for i, w in enumerate(weights.tolist())
    )
    names = "chr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\n"
    (folder / "model.txt").write_text("#pgs_id=B\n" + names + rows)
    make(folder / "c", "127.0.0.1", ["clinic"], datetime.now(UTC), 2)
    held = folder / "c"
    shown = {
        name: Certificates(held / f"{name}.pem", held / f"{name}.key", held / "authority.pem")
        for name in ("owner", "clinic")
    }
    began = perf_counter()
    scorer = open_scorer(folder / "model.txt", folder / "counts", per_day=99, in_all=99)
    started = perf_counter() - began
    key, walls = Key(), list[float]()
    with Server(("127.0.0.1", 0), scorer, shown["owner"]) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with Client(f"https://127.0.0.1:{server.server_port}", shown["clinic"]) as client:
            said = client.description()
            for _ in range(RUNS):
                began, seed = perf_counter(), new_seed()
                public = key.public(seed)
                asked = key.ask(dosage, public, seed, 0)
                frames = map(wire.write_element, (public, *asked.blocks))
                answers = client.scores(wire.Head(1, said.digest, seed), frames, n_weights)
                found = key.scores(answers[0], n_weights)
                walls.append(perf_counter() - began)
                assert abs(found[0] - dosage[0] @ weights) < 1e-5
        server.shutdown()
    return {
        "server_start_s": started,
        "request_wall_s": statistics.median(walls),
        "list_zipped_bytes": len(scorer.zipped),
    }


def batch(n_weights: int, key: Key) -> dict[str, Any]:
    """Return CPU and bytes a person, in shared ciphertexts and one by one."""
    weights, dosage = made(n_weights, PEOPLE)
    model, size, found = Model.of(weights), group_size(n_weights), dict[str, Any]()
    for name, step, people in (("shared", size, PEOPLE), ("one by one", 1, 50)):
        client = server = 0.0
        for first in range(0, people, step):
            part, seed = dosage[first : min(first + step, people)], new_seed()
            spent, asked = timed(lambda p=part, s=seed: key.ask(p, key.public(s), s, 0))
            client += spent
            spent, got = timed(lambda a=asked, p=part: answer(model, a, len(p), os.urandom))
            server += spent
            spent, scores = timed(lambda g=got: key.scores(g, n_weights))
            client += spent
            assert np.abs(scores - part @ weights).max() < 1e-5
        up = -(-people // step) * (wire.asked_bytes(1, n_weights))
        found[name] = {
            "client_ms_per_person": 1e3 * client / people,
            "server_ms_per_person": 1e3 * server / people,
            "bytes_up_per_person": up / people,
        }
    return {"people_per_ciphertext": size, **found}


def main() -> None:
    """Measure, write and print."""
    sizes = SIZES[:1] if "--quick" in sys.argv else SIZES
    key = Key()
    ours(20_000, key)  # compiles
    found: dict[str, object] = {
        "machine": processor(),
        "versions": {name: version(name) for name in ("equipoise", "numpy", "numba", "tenseal")},
        "one_person": {str(n): ours(n, key) for n in sizes},
        "slots": {str(n): slots(n) for n in (sizes[0], sizes[-1])},
        "batch": {str(n): batch(n, key) for n in (77, 1000)},
    }
    https: dict[str, Any] = {}
    for n in dict.fromkeys((sizes[0], sizes[-1])):
        with tempfile.TemporaryDirectory() as folder:
            https[str(n)] = over_https(n, Path(folder))
    found["over_https"] = https
    written("encrypted_scoring", found)


if __name__ == "__main__":
    main()
