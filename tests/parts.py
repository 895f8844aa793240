"""Which files of tests a machine runs, where several share the work."""

from __future__ import annotations

from collections.abc import Mapping


def part_of[File](weights: Mapping[File, int], part: str) -> set[File]:
    """Files of one part, such as "1/2": the heaviest first, each to the part with least so far.

    Raises
    ------
    ValueError
        The part is not K/N with 1 <= K <= N.
    """
    number, _, parts = part.partition("/")
    if not (number.isdigit() and parts.isdigit() and 1 <= int(number) <= int(parts)):
        raise ValueError(f"{part!r} is not a part of the tests: write one as 1/2 or 2/2.")
    loads, own = [0] * int(parts), set()
    for file in sorted(weights, key=lambda file: (-weights[file], str(file))):
        lightest = loads.index(min(loads))
        loads[lightest] += weights[file]
        if lightest == int(number) - 1:
            own.add(file)
    return own
