"""How much is held of bodies, here or by llama-swap: of one name's, and of all. Pure."""


class BodyMemory:
    """The sums, in bytes."""

    def __init__(self, most_of_one: int, most_of_all: int) -> None:
        self._most_of_one = most_of_one
        self._most_of_all = most_of_all
        self.all = 0
        self.of: dict[str, int] = {}
        """By name, as long as there is something."""

    def change(self, name: str, by: int) -> bool:
        """More or less is held for a name; False, and nothing is changed, if that is too much."""
        if not by:
            return True
        of_one, of_all = self.of.get(name, 0) + by, self.all + by
        if by > 0 and (of_one > self._most_of_one or of_all > self._most_of_all):
            return False
        self.all = of_all
        if of_one:
            self.of[name] = of_one
        else:
            self.of.pop(name, None)
        return True
