"""Names to protections: the closed set of what a plan may name."""

from collections.abc import Mapping
from importlib import import_module
from typing import Final, cast

from equipoise.errors import ProtocolError
from equipoise.protection import Protection

KINDS: Final = {
    "clear": "equipoise.protections.clear:Clear",
    "masked": "equipoise.protections.masked:Masked",
    "noise": "equipoise.protections.noise:Noise",
    "encrypted": "equipoise.protections.encrypted:Encrypted",
    "threshold": "equipoise.protections.multiparty:Threshold",
}


def protection(kind: str, prices: Mapping[str, float] | None = None) -> Protection:
    """Return the protection of that name; ProtocolError where there is none.

    prices  what a round of each step may cost in privacy, for `noise` (`accounting`)
    """
    if kind not in KINDS:
        raise ProtocolError(f"there is no protection {kind!r}; there are {sorted(KINDS)}")
    module, name = KINDS[kind].split(":")
    made = getattr(import_module(module), name)
    return cast("Protection", made(prices or {}) if kind == "noise" else made())
