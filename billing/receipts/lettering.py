"""Text of any script as one line of glyphs from left to right, for a page that only puts glyph after glyph.

What Unicode asks of those who draw text, and a PDF library leaves to them: Arabic letters take the form that their
neighbours give them (Unicode Standard, 9.2), and what is written from right to left is turned around (UAX #9; there are
no explicit embeddings, for characters without a shape are left out).
"""

import re
import unicodedata
from collections.abc import Collection, Sequence
from functools import cache
from itertools import pairwise

UNKNOWN = "\ufffd"
TATWEEL = "\u0640"
PRESENTATION_FORMS = ((0xFB50, 0xFDFF), (0xFE70, 0xFEFF))
UNITS = re.compile("\u0644[\u0622\u0623\u0625\u0627]|.", re.DOTALL)
"""A lam with the alef behind it is one glyph; else every letter is its own."""

FORM_NAMES = {
    (False, False): "<isolated>",
    (True, False): "<final>",
    (False, True): "<initial>",
    (True, True): "<medial>",
}
"""By whether it is joined to the letter in front of it, and to the one behind."""

MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")

LEFT, RIGHT, NUMBER, OF_A_NUMBER, NEUTRAL = "L", "R", "N", ".", "?"
DIRECTIONS = {"L": LEFT, "R": RIGHT, "AL": RIGHT, "EN": NUMBER, "AN": NUMBER, "CS": OF_A_NUMBER, "ES": OF_A_NUMBER}
"""By the bidirectional class of a character; every other one goes with its neighbours."""


def printable(text: str, glyphs: Collection[int]) -> str:
    """Composed, without what has no shape; a character without a glyph is shown as one that is not known."""
    return "".join(_shown(character, glyphs) for character in unicodedata.normalize("NFC", text))


def in_sight_order(line: str, glyphs: Collection[int]) -> str:
    """A printable line as it is to be drawn."""
    clusters = _clusters(_joined(line, glyphs))
    levels = _levels(clusters)
    order = _reordered(levels)
    return "".join(clusters[at].translate(MIRRORED) if levels[at] % 2 else clusters[at] for at in order)


def _shown(character: str, glyphs: Collection[int]) -> str:
    if character.isspace():
        return " "
    if unicodedata.category(character) in ("Cc", "Cf"):
        return ""
    return character if ord(character) in glyphs else UNKNOWN


@cache
def _forms() -> dict[tuple[str, str], str]:
    """From what is written, and the name of a form, to the character that is this form alone."""
    found = {}
    for first, last in PRESENTATION_FORMS:
        for code in range(first, last + 1):
            name, *parts = unicodedata.decomposition(chr(code)).split() or ("",)
            if name in FORM_NAMES.values():
                found["".join(chr(int(part, 16)) for part in parts), name] = chr(code)
    return found


def _joined(line: str, glyphs: Collection[int]) -> str:
    """Marks stand between letters without parting them."""
    units: list[str] = UNITS.findall(line)
    letters = [at for at, unit in enumerate(units) if not _is_mark(unit)]
    joints = [_is_joined(units[one], units[other]) for one, other in pairwise(letters)]
    shaped = [*units]
    for at, ends in zip(letters, pairwise([False, *joints, False]), strict=False):
        form = _forms().get((units[at], FORM_NAMES[ends]), units[at])
        if ord(form[0]) in glyphs:
            shaped[at] = form
    return "".join(shaped)


def _is_joined(unit: str, following: str) -> bool:
    forms = _forms()
    leads = unit == TATWEEL or (unit, "<initial>") in forms
    return leads and (following == TATWEEL or (following, "<final>") in forms)


def _is_mark(unit: str) -> bool:
    return unicodedata.category(unit[0]) in ("Mn", "Me")


def _clusters(line: str) -> list[str]:
    """Each letter with the marks that stand on it: they are drawn behind it in either direction."""
    clusters: list[str] = []
    for character in line:
        if clusters and _is_mark(character):
            clusters[-1] += character
        else:
            clusters.append(character)
    return clusters


def _levels(clusters: Sequence[str]) -> list[int]:
    """Odd where it is written from right to left; the first letter says how the line runs."""
    directions = [DIRECTIONS.get(unicodedata.bidirectional(cluster[0]), NEUTRAL) for cluster in clusters]
    base = next((one for one in directions if one in (LEFT, RIGHT)), LEFT)
    if base == LEFT and RIGHT not in directions:
        return [0] * len(clusters)
    level_of = {LEFT: 0, RIGHT: 1, NUMBER: 2} if base == LEFT else {LEFT: 2, RIGHT: 1, NUMBER: 2}
    return [level_of[one] for one in _with_neighbours(_with_numbers(directions, base), base)]


def _with_numbers(directions: Sequence[str], base: str) -> list[str]:
    """Numbers among letters that run from the left are like those; a point within a number is of it."""
    found, strong = [], base
    for at, one in enumerate(directions):
        strong = one if one in (LEFT, RIGHT) else strong
        is_within = one == OF_A_NUMBER and at > 0 and directions[at - 1] == NUMBER == (*directions, "")[at + 1]
        if one == NUMBER or is_within:
            found.append(NUMBER if strong == RIGHT else LEFT)
        else:
            found.append(NEUTRAL if one == OF_A_NUMBER else one)
    return found


def _with_neighbours(directions: Sequence[str], base: str) -> list[str]:
    """What has no direction takes that of its neighbours where both have the same, else that of the line."""
    found: list[str] = []
    for at, one in enumerate(directions):
        before = found[-1] if found else base
        behind = next((other for other in directions[at:] if other != NEUTRAL), base)
        sides = {LEFT if side == LEFT else RIGHT for side in (before, behind)}
        found.append(one if one != NEUTRAL else sides.pop() if len(sides) == 1 else base)
    return found


def _reordered(levels: Sequence[int]) -> list[int]:
    """From the highest level to the lowest odd one, every run of that level or a higher one is reversed."""
    order = list(range(len(levels)))
    for level in range(max(levels, default=0), 0, -1):
        start = 0
        while start < len(order):
            end = start
            while end < len(order) and levels[order[end]] >= level:
                end += 1
            order[start:end] = reversed(order[start:end])
            start = end + 1
    return order
