"""Log-linear histograms: whole numbers of any size counted in bins that are narrow everywhere.

Up to 127 each number has a bin of its own; above, each doubling is cut into 64 bins of one width,
so that the middle of a bin is within 0.8 % of all that is counted in it.
"""

from collections.abc import Mapping
from fractions import Fraction
from math import ceil
from typing import Final

_BITS: Final = 7
_CUTS: Final = 1 << (_BITS - 1)
_EXACT: Final = 1 << _BITS


def bin_of(number: int) -> int:
    """The bin of a number from 0 on; larger numbers never have smaller bins."""
    shift = number.bit_length() - _BITS
    return number if shift <= 0 else shift * _CUTS + (number >> shift)


def middle_of(place: int) -> float:
    """The number that a bin stands for."""
    if place < _EXACT:
        return place
    shift = place // _CUTS - 1
    lowest = (place - shift * _CUTS) << shift
    return lowest + ((1 << shift) - 1) / 2


def quantile(bins: Mapping[int, int], share: Fraction) -> float | None:
    """The smallest number that at least so large a share is not above, within 1 %; None of none."""
    rank = max(1, ceil(share * sum(bins.values())))
    for place in sorted(bins):
        rank -= bins[place]
        if rank <= 0:
            return middle_of(place)
    return None
