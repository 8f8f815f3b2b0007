"""Levenshtein distance, bit-parallel (Myers 1999, Hyyrö 2003): one step on long integers per character."""


def edit_distance(first: str, second: str) -> int:
    """Insertions, deletions and substitutions of characters that turn ``first`` into ``second``."""
    if not first or not second:
        return len(first) + len(second)
    places: dict[str, int] = {}
    for at, character in enumerate(first):
        places[character] = places.get(character, 0) | 1 << at
    everything, last = (1 << len(first)) - 1, 1 << (len(first) - 1)
    rises, falls, distance = everything, 0, len(first)
    for character in second:
        equal = places.get(character, 0)
        diagonal = (((equal & rises) + rises) ^ rises) | equal | falls
        up, down = falls | ~(diagonal | rises), rises & diagonal
        distance += bool(up & last) - bool(down & last)
        up, down = up << 1 | 1, down << 1
        rises, falls = (down | ~(diagonal | up)) & everything, up & diagonal & everything
    return distance
