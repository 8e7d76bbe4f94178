"""JSON that is nearly right."""

import random


class Garbage:
    """Values that are nearly right, by chance."""

    def __init__(self, seed, names):
        self.chance = random.Random(seed)
        self.names = names

    def text(self):
        odd = ["", "x", "é" * 90, "a\0b", "@", "$", "!", "0", "-1", "9" * 25]
        return self.chance.choice([*self.names, *odd])

    def value(self, depth=0):
        kind = self.chance.randrange(9 if depth < 3 else 6)
        if kind < 3:
            return self.text()
        if kind == 3:
            return self.chance.choice([0, -1, 1, 2**53, 2**63, 1.5, 10**30])
        if kind < 6:
            return self.chance.choice([None, True, False, "join", "m.room.member"])
        if kind < 8:
            return {self.text(): self.value(depth + 1) for _ in range(self.chance.randrange(4))}
        return [self.value(depth + 1) for _ in range(self.chance.randrange(4))]

    def spoiled(self, value):
        """The value with some of it replaced."""
        if self.chance.random() < 0.12:
            return self.value()
        if isinstance(value, dict):
            kept = {key: self.spoiled(one) for key, one in value.items() if self.chance.random() > 0.05}
            return kept | ({self.text(): self.value()} if self.chance.random() < 0.05 else {})
        if isinstance(value, list):
            return [self.spoiled(one) for one in value]
        return value
