"""A site in a process of its own reads a key that it did not make."""

import subprocess
import sys
from pathlib import Path

from equipoise.protections.encrypted_scheme import SecretKey
from protections.encrypted_rounds import INSTALLED

pytestmark = INSTALLED

READS = """
import sys
from pathlib import Path
from equipoise.protections.encrypted_scheme import PublicKey
import numpy as np
key = PublicKey(Path(sys.argv[1]).read_bytes(), 3)
Path(sys.argv[2]).write_bytes(key.encrypt(np.arange(5, dtype=np.uint64)))
"""


def test_a_process_that_never_made_a_key_reads_one_and_encrypts(tmp_path: Path) -> None:
    secret = SecretKey(3)
    (tmp_path / "key").write_bytes(secret.public())
    command = [sys.executable, "-c", READS, str(tmp_path / "key"), str(tmp_path / "sent")]
    subprocess.run(command, check=True, timeout=120)
    assert secret.decrypt((tmp_path / "sent").read_bytes(), 5).tolist() == [0, 1, 2, 3, 4]
