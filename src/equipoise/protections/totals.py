"""Totals whose blocks are made when they are asked for, so that none is held as a whole."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import overload

from equipoise.sums import Integers


class LazyTotal(Sequence[Integers]):
    """A total, block by block; what it is made of says how many blocks there are."""

    @abstractmethod
    def made(self, place: int) -> Integers:
        """Return the block at a place from 0 to one less than their number."""

    @overload
    def __getitem__(self, place: int) -> Integers: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Integers]: ...

    def __getitem__(self, place: int | slice) -> Integers | Sequence[Integers]:
        """Return one block, or several; IndexError where there is none."""
        places = range(len(self))[place]
        if isinstance(places, range):
            return [self.made(i) for i in places]
        return self.made(places)
