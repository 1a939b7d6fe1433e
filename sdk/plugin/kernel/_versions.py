"""Which version of the contract host and plugin speak with each other."""

from __future__ import annotations

from ._environment import number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection


def negotiate(own: Collection[int], offered: str, *, warn: Callable[[str], object]) -> int:
    """Return the highest of the plugin's `own` versions that the host offers, or the lowest of them if there is none.

    The lowest is what hosts without a list expect; any other host then reports the mismatch in its own words.
    """
    theirs = set()
    for entry in filter(None, offered.split(",")):
        try:
            theirs.add(number(entry))
        except ValueError:
            warn(entry)
    return max(theirs.intersection(own), default=min(own))
