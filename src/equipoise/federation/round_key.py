"""Where a key keeper keeps the key of the round under way, so that it can be taken up.

A key that was kept must not decrypt twice: whoever chooses what is decrypted learns the key from
it. So before anything is decrypted, the one message for which it is, is written down beside the
key; after a restart, no other is. Both are gone once the round's total is in the journal.
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Final

from equipoise.errors import IntegrityError, ProtocolError
from equipoise.federation import tape

_DIGEST: Final = 32


class RoundKey:
    """The secret key of one round in a folder of its own, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        """Keep the key in `folder`, or find there the one that was kept."""
        self._folder = folder
        self._key, self._asked = folder / "key", folder / "asked"

    def keep(self, context: bytes, key: bytes) -> None:
        """Keep the key of the round that a digest stands for, instead of any other."""
        self.forget()
        self._folder.mkdir(parents=True, mode=0o700)
        self._write(self._key, context + hashlib.sha256(key).digest() + key)

    def found(self, context: bytes) -> bytes:
        """Return the key of a round; IntegrityError unless it is there as it was kept."""
        content = self._key.read_bytes() if self._key.exists() else b""
        of, digest, key = content[:_DIGEST], content[_DIGEST:][:_DIGEST], content[2 * _DIGEST :]
        if of != context or hashlib.sha256(key).digest() != digest:
            raise IntegrityError(
                f"{self._key} is missing, or is not what was kept of the round under way: the run"
                " cannot be taken up, only begun anew (--anew)"
            )
        return key

    def ask(self, message: str) -> None:
        """Write down for which message the key decrypts; ProtocolError where it was another."""
        if not self._asked.exists():
            self._write(self._asked, message.encode())
        elif self._asked.read_text("utf-8", "replace") != message:
            raise ProtocolError("the total of this round has been asked for before, otherwise")

    def forget(self) -> None:
        """Let the key go."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, path: Path, content: bytes) -> None:
        """Write a file that is on the disk, whole, once this returns."""
        partial = path.with_suffix(".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            tape.settle(file)
        partial.replace(path)
        tape.settle_folder(self._folder)
