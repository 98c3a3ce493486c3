"""A cache with a budget that forgets what was not used for longest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lru(Generic[K, V]):
    """Values by key, each with a cost; the least recently used go when the costs exceed ``budget``.

    Keys in ``pinned`` stay. The budget is a promise about what is kept, not about what is shown: the newest value is
    always kept, so that a single one larger than the budget can still be drawn.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.pinned: set[K] = set()
        self.cost = 0
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[K]:
        return iter(self._values)

    def get(self, key: K) -> V | None:
        """The value, which counts as used now."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, cost: int) -> None:
        """Keep a value, and let go what no longer fits."""
        previous = self._values.pop(key, None)
        self.cost += cost - (0 if previous is None else previous[1])
        self._values[key] = (value, cost)
        for old in list(self._values):
            if self.cost <= self.budget:
                break
            if old != key and old not in self.pinned:
                self.cost -= self._values.pop(old)[1]

    def clear(self) -> None:
        """Forget everything, pins too."""
        self._values.clear()
        self.pinned.clear()
        self.cost = 0
