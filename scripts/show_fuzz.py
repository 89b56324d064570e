"""Feed a site 100,000 mutated or random messages, and show that it takes none.

    python scripts/show_fuzz.py [NUMBER]

The messages are real ones of a masked run, altered in nine ways. Prints refusals by reason, and
memory before and after; exit 1 where one was accepted, one broke the site, memory grew by more than
64 MB, or a refusal is not in the site's ledger.
"""

import logging
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from federation.fuzzing import SITE, a_federation, fuzz


def main() -> None:
    """Feed, print, exit."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as name:
        federation = a_federation(Path(name))
        found = fuzz(federation, number)
        entered = federation.kinds(SITE).count("refusal")
        federation.close()
    for reason, count in found.refusals.most_common():
        print(f"{count:>8}  {reason}")
    before, after = found.memory
    print(f"accepted {found.accepted}, broke {found.crashed}, refused {found.refusals.total()}")
    print(f"entered in the site's ledger: {entered}")
    print(f"resident memory: {before:.0f} MB before, {after:.0f} MB after")
    good = found.accepted == found.crashed == 0 and after - before < 64
    sys.exit(0 if good and entered >= found.refusals.total() else 1)


if __name__ == "__main__":
    main()
