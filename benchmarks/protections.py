"""What each protection costs a site: a million values, four sites, and two peers in the same run.

    python benchmarks/protections.py [--quick]

CPU seconds and bytes sent, of one site on average, over all phases of one round; one process, one
thread, the median of five rounds. `input` is the share of it that goes into the message with the
sums. `encrypted` has the key keeper's figures beside it, and `threshold` is left out where OpenFHE
does not import. Peers: TenSEAL's CKKS, encrypting and writing the same values, with the parameters
of its tutorial and with the fewest that still give totals of 40 bits to the unit; and Flower's
SecAgg+, of which a client's stage with the masked vector is done by the functions that Flower's
own client calls, in its order (scaling, quantising to 22 bits, a mask of its own and one for each
neighbour, modulus, writing). Flower comes with many exact versions, so it is run by the Python
that FLOWER_PYTHON names (python -m venv X; X/bin/pip install flwr==1.41), and left out with the
reason where it is not there. The joint digest of a message's blocks is the wire's, which every message
pays whatever its protection, and is not counted. --quick takes 100,000 values, and one run of each. Writes
benchmarks/results/protections.json.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from masked import Timed, middle
from numpy.typing import NDArray
from peers import ONE_THREAD, machine, written

from equipoise.errors import InputError
from equipoise.federation.identity import Identity, Peers
from equipoise.protection import Context, Message, Party, joint_digest
from equipoise.protections.clear import Clear
from equipoise.protections.encrypted import Encrypted
from equipoise.protections.encrypted_keeper import KEEPER
from equipoise.protections.masked import Masked
from equipoise.protections.multiparty import Threshold
from equipoise.step import Done
from equipoise.sums import Field, Schema

SITES = ("s0", "s1", "s2", "s3")
RUNS = 5
WIDEST = 2.0**40

CKKS = {
    "ckks, tutorial": (8192, [60, 40, 40, 60], 2.0**40),
    "ckks, fewest primes": (8192, [60, 60], 2.0**18),
}

CLIENT = """
import json, sys
from time import process_time
import numpy as np
from flwr.common import ndarray_to_bytes
from flwr.common.secure_aggregation import ndarrays_arithmetic as a
from flwr.common.secure_aggregation.quantization import quantize
from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen

n, runs, neighbours = map(int, sys.argv[1:])
clip, target, modulus = 8.0, 1 << 22, 1 << 32
values = [np.random.default_rng(1).standard_normal(n).astype(np.float32)]
rows = []
for _ in range(runs):
    began = process_time()
    vector = quantize(a.parameters_multiply(values, 1.0), clip, target)
    vector = a.factor_combine(target, vector)
    shapes = [part.shape for part in vector]
    quantised = process_time()
    vector = a.parameters_addition(vector, pseudo_rand_gen(bytes(32), modulus, shapes))
    for peer in range(neighbours):
        mask = pseudo_rand_gen(bytes([peer]) * 32, modulus, shapes)
        combine = a.parameters_addition if peer % 2 else a.parameters_subtraction
        vector = combine(vector, mask)
    vector = a.parameters_mod(vector, modulus)
    masked = process_time()
    sent = sum(len(ndarray_to_bytes(part)) for part in vector)
    rows.append({"quantise": quantised - began, "mask": masked - quantised,
                 "cpu_seconds": process_time() - began, "bytes": sent})
import importlib.metadata
print(json.dumps([importlib.metadata.version("flwr"), rows]))
"""


def parties() -> dict[str, Party]:
    """Return what each machine may do in its party's name; the keeper is one."""
    keys = {name: Identity.create(name) for name in (*SITES, KEEPER)}
    peers = Peers({name: key.signing_key for name, key in keys.items()})

    def party(key: Identity) -> Party:
        return Party(
            key.name, key.sign, peers.verify, lambda o: key.shared_with(keys[o].channel_key)
        )

    return {name: party(key) for name, key in keys.items()}


def values_of(n_values: int) -> NDArray[np.int64]:
    """Return a site's values; those of four add up to all that 40 bits and a sign hold."""
    places = np.random.default_rng(1).permutation(n_values)
    return (places - n_values // 2) * (2**39 // n_values)


def one_round(kind: Any, n_values: int) -> dict[str, float]:
    """Return CPU seconds and bytes of one round: of a site on average, the centre, a keeper."""
    form = Schema(({"x": Field((n_values,), WIDEST, WIDEST)},))
    everybody, nothing = parties(), bytes(32)
    # Masks that outlast a lost site, as the peer's do; else there is a mask less, and no share.
    may_lose = isinstance(kind, Masked)
    context = Context("s", nothing, "step", 1, 0, nothing, SITES, nothing, may_lose=may_lose)
    values = values_of(n_values)
    machines = {s: kind.site(context, everybody[s], form, [{"x": values}]) for s in SITES}
    if isinstance(kind, Encrypted):
        machines[KEEPER] = kind.keeper(context, everybody[KEEPER], form)
    centre, timed, sent = kind.centre(context, form), Timed(), dict.fromkeys(machines, 0)
    answers: dict[str, Message] = {}
    largest = 0.0
    while not isinstance(outcome := timed.call("centre", centre.step, answers), Done):
        before = timed.seconds.get("site", 0.0)
        answers, digest = {}, b""
        for name, asked in outcome.state.items():
            request = asked
            if name != KEEPER and asked.blocks and isinstance(kind, Masked):
                digest = digest or joint_digest(asked.blocks)
                request = Message(asked.head, asked.blocks, digest)
            who = "keeper" if name == KEEPER else "site"
            said: Any = timed.call(who, machines[name].step, request)
            message = said.state if not isinstance(said, Done) else said.result
            message = getattr(message, "answer", message)
            blocks = timed.call(who, list, message.blocks)
            answers[name] = Message(message.head, blocks)
            sent[name] += len(message.head) + sum(map(len, blocks))
        largest = max(largest, timed.seconds.get("site", 0.0) - before)
    assert np.array_equal(outcome.result[0]["x"], values * len(SITES))
    figures = {
        "cpu_seconds": timed.seconds["site"] / len(SITES),
        "input": largest / len(SITES),
        "bytes": sum(sent[s] for s in SITES) / len(SITES),
        "centre_cpu_seconds": timed.seconds["centre"],
    }
    if KEEPER in sent:
        figures |= {"keeper_cpu_seconds": timed.seconds["keeper"], "keeper_bytes": sent[KEEPER]}
    return figures


def ckks(degree: int, primes: list[int], scale: float, n_values: int) -> dict[str, float]:
    """Return CPU seconds and bytes of encrypting so many values by CKKS and writing them."""
    import tenseal

    own = tenseal.context(tenseal.SCHEME_TYPE.CKKS, degree, coeff_mod_bit_sizes=primes)
    own.global_scale = scale
    public = tenseal.context_from(own.serialize(save_public_key=True))
    values, half = values_of(n_values).astype(float), degree // 2
    began, sent = process_time(), list[bytes]()
    for start in range(0, n_values, half):
        vector = tenseal.ckks_vector(public, values[start : start + half].tolist())
        sent.append(vector.serialize())
    seconds = process_time() - began
    total = tenseal.ckks_vector_from(own, sent[0])
    for _ in SITES[1:]:
        total += tenseal.ckks_vector_from(own, sent[0])
    error = np.abs(np.array(total.decrypt()) - len(SITES) * values[: min(half, n_values)]).max()
    return {"cpu_seconds": seconds, "bytes": sum(map(len, sent)), "error": float(error)}


def flower(n_values: int, runs: int) -> dict[str, Any]:
    """Return what a client of Flower's SecAgg+ spends, or why it was left out."""
    python = os.environ.get("FLOWER_PYTHON", "")
    if not Path(python).is_file():
        return {"skipped": "FLOWER_PYTHON does not name a Python that has flwr"}
    command = [python, "-c", CLIENT, str(n_values), str(runs), str(len(SITES) - 1)]
    environment = {**os.environ, **ONE_THREAD}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        return {"skipped": f"{python} has no flwr that works: {done.stderr.splitlines()[-1]}"}
    release, rows = json.loads(done.stdout)
    return {**middle(rows), "version": release}


def repeated(function: Callable[[], dict[str, float]], runs: int) -> dict[str, float]:
    """Return the median of each figure, after one round that warms up."""
    if runs > 1:
        function()
    return middle([function() for _ in range(runs)])


def main() -> None:
    """Time, print, write."""
    quick = "--quick" in sys.argv
    n_values, runs = (100_000, 1) if quick else (1_000_000, RUNS)
    rows: dict[str, Any] = {}
    kinds = {"clear": Clear(), "masked": Masked(), "encrypted": Encrypted()}
    for name, kind in kinds.items():
        rows[name] = repeated(partial(one_round, kind, n_values), runs)
    try:
        Threshold().check(len(SITES))
    except InputError as error:
        rows["threshold"] = {"skipped": str(error)}
    else:
        rows["threshold"] = repeated(partial(one_round, Threshold(), n_values), runs)
    for name, parameters in CKKS.items():
        rows[name] = repeated(partial(ckks, *parameters, n_values), runs)
    rows["secagg+"] = flower(n_values, runs)
    masked = rows["masked"]["cpu_seconds"]
    over = {
        f"masked over {name}": masked / row["cpu_seconds"]
        for name, row in rows.items()
        if "cpu_seconds" in row and name != "masked"
    }
    found = {"values": n_values, "sites": len(SITES), "rows": rows, "cpu_ratios": over}
    if quick:
        print(json.dumps(found, indent=1))
    else:
        written("protections", {**found, "tenseal": version("tenseal"), **machine()})


if __name__ == "__main__":
    main()
