"""Names to protections: the closed set of what a plan may name."""

from importlib import import_module
from typing import Final, cast

from equipoise.errors import ProtocolError
from equipoise.protection import Protection

KINDS: Final = {
    "clear": "equipoise.protections.clear:Clear",
    "masked": "equipoise.protections.masked:Masked",
}


def protection(kind: str) -> Protection:
    """Return the protection of that name; ProtocolError where there is none."""
    if kind not in KINDS:
        raise ProtocolError(f"there is no protection {kind!r}; there are {sorted(KINDS)}")
    module, name = KINDS[kind].split(":")
    return cast("Protection", getattr(import_module(module), name)())
