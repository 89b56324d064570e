"""One epoch of the gene network in torch: called by gene_network.py with an environment of its own.

    PYTHON benchmarks/outside/gene_network_torch.py data.npz dosages.npy batch

The summed gradient over everybody, batch by batch, and one step of Adam, as the other side takes
it. `dosages.npy` is int8, (people, variants), genes of equal numbers of variants one after the
other, so that nothing is gathered or padded. Prints seconds, the loss and the gradient's parts.
"""

import importlib
import json
import os
import resource
import sys
from time import perf_counter, process_time
from typing import Any

import numpy as np


def main() -> None:
    if len(sys.argv) != 4:
        print(__doc__)
        return
    torch: Any = importlib.import_module("torch")
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    data, dosages, size = np.load(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    genotypes = torch.from_numpy(np.load(dosages, mmap_mode="r+"))
    p = {name: torch.tensor(data[name], dtype=torch.float32) for name in data.files}
    genes, width = p["biases"].shape
    names = ("weights", "biases", "gate", "gate_out", "gene", "hidden", "hidden_bias", "out")
    wanted = [p[name].requires_grad_() for name in (*names, "covariates", "bias")]
    optimiser = torch.optim.Adam(wanted, lr=0.03)
    mean, over = p["centre"], 1 / p["scale"]

    def loss(part: slice) -> Any:
        x = ((genotypes[part].float() - mean) * over).view(-1, genes, len(mean) // genes)
        h = torch.bmm(x.transpose(0, 1), p["weights"].view(genes, -1, width)).transpose(0, 1)
        z = torch.nn.functional.gelu(h + p["biases"], approximate="tanh")
        attention = torch.softmax(torch.tanh(z @ p["gate"]) @ p["gate_out"] + p["gene"], dim=1)
        pooled = genes**0.5 * torch.einsum("bg,bgk->bk", attention, z)
        m = torch.nn.functional.layer_norm(pooled, (width,), eps=1e-5)
        above = torch.nn.functional.gelu(m @ p["hidden"] + p["hidden_bias"], approximate="tanh")
        f = p["offset"][part] + above @ p["out"] + p["rows"][part] @ p["covariates"] + p["bias"]
        return torch.nn.functional.binary_cross_entropy_with_logits(
            f, p["trait"][part], reduction="sum"
        )

    loss(slice(0, size)).backward()  # memory that the first batch asks for is not timed
    optimiser.zero_grad()
    cpu, wall, total = process_time(), perf_counter(), 0.0
    for start in range(0, len(genotypes), size):
        own = loss(slice(start, start + size))
        own.backward()
        total += float(own.detach())
    norms = [float(one.grad.norm()) for one in wanted]
    optimiser.step()
    seconds = {"cpu": process_time() - cpu, "wall": perf_counter() - wall}
    told = {**seconds, "loss": total, "norms": norms, "torch": torch.__version__}
    told["resident_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(told))


if __name__ == "__main__":
    main()
