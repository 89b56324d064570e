"""What the vector loops are shaped by, and whether this processor has their instruction."""

from functools import cache
from importlib import import_module
from typing import Final

LANES: Final = 64
"""Bytes of a vector: 64 bytes of a block are 256 people."""

VARIANTS, ROWS = 6, 4
"""Variants and rows of digits that one pass of `vectors.dot` multiplies."""


@cache
def byte_products() -> bool:
    """Return whether this processor has the dot product of bytes, AVX-512 VNNI."""
    return bool(import_module("llvmlite.binding").get_host_cpu_features().get("avx512vnni"))
