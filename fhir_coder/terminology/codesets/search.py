"""Search by a coder's words: abbreviations, misspellings and beginnings of words are understood."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fhir_coder.terminology.codesets.index import CodeIndex, Entry, stem, terms_of, words_of

Meanings = Mapping[tuple[str, ...], str]
"""What abbreviations stand for: alternatives with a bar between them, words that only help in parentheses."""

_CANDIDATES = 400
_RARE = 4  # a word in so few entries may be the beginning of the common one: hypothyroid, hypothyroidism
_STOP = frozenset(
    (
        *(
            "a",
            "an",
            "and",
            "as",
            "at",
            "by",
            "due",
            "for",
            "from",
            "in",
            "into",
            "is",
            "it",
            "nec",
            "no",
            "nos",
            "not",
        ),
        *("of", "on", "or", "other", "pt", "s", "the", "to", "w", "wo", "with", "without"),
    )
)
_SAYS_LITTLE = _STOP | {
    "unspecified",
    "essential",
    "primary",
    "specified",
    "organism",
    "site",
    "encounter",
    "elsewhere",
    "classified",
}
_EPISODE = frozenset(("initial", "subsequent", "sequela", "nonunion", "malunion", "delayed", "routine", "healing"))
_OPENNESS = frozenset(("open", "closed"))
_CODE = re.compile(r"[A-Z][0-9][0-9A-Z](?:\.?[0-9A-Z]{0,4})?|[A-Z]?\d{3,5}[A-Z]?", re.IGNORECASE)
_SPELLINGS = 4  # words that a misspelt one may be
_BEGINNING = 5  # letters from which the beginning of a word is likelier than a misspelt one
_WITHOUT = re.compile(r"\bwithout (?:(?! of ).)*")
_LONGEST_ABBREVIATION = 3


@dataclass(frozen=True, slots=True)
class Sought:
    """One notion of a query: alternatives, each of words that must all be there; `helps` are words that add."""

    alternatives: tuple[tuple[str, ...], ...]
    helps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry that was found. `score` is the greater the better; `words_missing` counts notions it does not have."""

    entry: Entry
    score: float
    words_missing: int = 0


def search(index: CodeIndex, query: str, meanings: Meanings, limit: int) -> list[Hit]:
    """Find the entries that a query means, the best first.

    Codes with a 7th character stand for their header only where the query says something of the episode of care.
    """
    by_code = [Hit(entry, 100 - place) for place, entry in enumerate(_by_code(index, query.strip(), limit))]
    if by_code:
        return by_code
    words = words_of(query)
    episode = {word for word in words if word in _EPISODE or (word in _OPENNESS and _is_of_fracture(words))}
    sought = _notions(index, [word for word in words if word not in episode], meanings)
    if not sought:
        return []
    above = _Above(index)
    hits = [_judged(found, fit, sought, above) for found, fit in _candidates(index, sought)]
    hits.sort(key=lambda hit: (hit.words_missing, -hit.score))
    if hits:
        hits = [hit for hit in hits if hit.words_missing == hits[0].words_missing]
    return list(_at_episode(index, hits[:limit], episode)) if episode else hits[:limit]


def _is_of_fracture(words: Sequence[str]) -> bool:
    return any(word.startswith(("fx", "fractur")) for word in words)


def _by_code(index: CodeIndex, query: str, limit: int) -> Iterator[Entry]:
    if not _CODE.fullmatch(query):
        return
    code = query.upper()
    if "." not in code and len(code) > 3 and index.entry(code) is None:
        code = f"{code[:3]}.{code[3:]}"
    yield from index.starting_with(code, limit)


def _notions(index: CodeIndex, words: Sequence[str], meanings: Meanings) -> list[Sought]:
    notions = []
    place = 0
    while place < len(words):
        for length in range(min(_LONGEST_ABBREVIATION, len(words) - place), 0, -1):
            if meaning := meanings.get(tuple(words[place : place + length])):
                notions.append(_of_meaning(meaning))
                break
        else:
            length = 1
            if words[place] not in _STOP:
                notions.append(Sought(tuple((one,) for one in _spellings(index, words[place]))))
        place += length
    return notions


def _of_meaning(meaning: str) -> Sought:
    helps = tuple(stem(word) for inside in re.findall(r"\(([^)]*)\)", meaning) for word in words_of(inside))
    plain = re.sub(r"\([^)]*\)", " ", meaning)
    alternatives = (tuple(stem(w) for w in words_of(part) if w not in _STOP) for part in plain.split("|"))
    return Sought(tuple(filter(None, alternatives)), helps)


def _spellings(index: CodeIndex, word: str) -> tuple[str, ...]:
    """The word as the set spells it, or the words it may be; one that only begins words ends in a star."""
    known = index.count_of(word, stem(word), f"{word}s")
    if known >= _RARE or (known and not index.begins_word(word)) or len(word) < 3 or word.isdigit():
        return (stem(word),)
    if len(word) >= _BEGINNING and index.begins_word(word):
        return (f"{word}*",)
    near = _near(index, word)
    if near:
        return near
    return (f"{word}*",) if index.begins_word(word) else (word,)


def _near(index: CodeIndex, word: str) -> tuple[str, ...]:
    """The words that the fewest letters lie between, those of most entries first."""
    allowed = 1 if len(word) < 6 else 2
    found = [(edits(word, like), -count, like) for like, count in index.words_like(word)]
    least = min((distance for distance, _, _ in found), default=allowed + 1)
    if least > allowed:
        return ()
    best = sorted(one for one in found if one[0] == least)[:_SPELLINGS]
    return tuple(dict.fromkeys(stem(like) for _, _, like in best))


def edits(one: str, other: str) -> int:
    """How many letters must be changed, added, left out or swapped with their neighbour to make one word the other."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        older, before, row = before, row, [place]
        for at, seen in enumerate(other, 1):
            cost = min(row[-1] + 1, before[at] + 1, before[at - 1] + (letter != seen))
            if place > 1 and at > 1 and letter == other[at - 2] and one[place - 2] == seen:
                cost = min(cost, older[at - 2] + 1)
            row.append(cost)
    return row[-1]


def _candidates(index: CodeIndex, sought: Sequence[Sought]) -> list[tuple[Entry, float]]:
    """The entries with every notion of the query; where there is none, those with any of them."""
    asked = [_asked(one) for one in sought]
    found = index.matching(" AND ".join(asked), _CANDIDATES) or index.matching(" OR ".join(asked), _CANDIDATES)
    return [(one.entry, one.bm25) for one in found]


def _asked(one: Sought) -> str:
    ways = [" AND ".join(f'"{w.rstrip("*")}"{"*" * w.endswith("*")}' for w in words) for words in one.alternatives]
    return "(" + " OR ".join(f"({way})" for way in ways) + ")"


class _Above:
    """The words of the headers above entries, each read once."""

    def __init__(self, index: CodeIndex) -> None:
        self._index = index
        self._words: dict[str, frozenset[str]] = {}

    def words(self, code: str) -> frozenset[str]:
        if not code:
            return frozenset()
        if code not in self._words:
            entry = self._index.entry(code)
            if entry is None or entry.kind == "chapter":
                self._words[code] = frozenset()
            else:
                own = _stems([entry.title, *terms_of(entry)])
                self._words[code] = own | self.words(entry.parent)
        return self._words[code]


def _stems(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(stem(word) for text in texts for word in words_of(text))


def _judged(entry: Entry, bm25: float, sought: Sequence[Sought], above: _Above) -> Hit:
    title = _stems([entry.title])
    terms = title | _stems(terms_of(entry))
    upper = above.words(entry.parent)
    score, missing = 0.0, 0
    for one in sought:
        weight = max(
            (w for words, w in ((title, 1.0), (terms, 0.9), (terms | upper, 0.4)) if _has(words, one)), default=0
        )
        score, missing = score + weight, missing + (not weight)
    asked = {w for one in sought for words in one.alternatives for w in words} | {
        h for one in sought for h in one.helps
    }
    score += 2 * max(_share(name, asked) for name in (entry.title, *terms_of(entry)))
    # The plain answer goes before special ones, a code before its header.
    score += 0.1 * ("unspecified" in title) - 0.15 * (entry.kind == "header") - 0.05 * entry.title.startswith("Other")
    return Hit(entry, score - bm25 / 1000, missing)


def _has(words: frozenset[str], one: Sought) -> bool:
    return any(all(_is_in(word, words) for word in way) for way in one.alternatives)


def _is_in(word: str, words: frozenset[str]) -> bool:
    return any(w.startswith(word[:-1]) for w in words) if word.endswith("*") else word in words


def _share(name: str, asked: set[str]) -> float:
    """Which part of a name the query said; nobody says what something is without."""
    telling = _stems([_WITHOUT.sub(" ", name.lower())]) - _SAYS_LITTLE
    if not telling:
        return 0.0
    begun = tuple(word[:-1] for word in asked if word.endswith("*"))
    said = sum(word in asked or bool(begun and word.startswith(begun)) for word in telling)
    return said / len(telling)


def _at_episode(index: CodeIndex, hits: Sequence[Hit], episode: set[str]) -> Iterator[Hit]:
    """The codes with the 7th character of the query's episode in place of their headers."""
    for hit in hits:
        codes = [one for one in index.children(hit.entry.code) if one.kind == "extended"]
        said = [len(episode & set(words_of(one.title.removeprefix(hit.entry.title)))) for one in codes]
        if not any(said):
            yield replace(hit, words_missing=hit.words_missing + len(episode))
            continue
        yield from (replace(hit, entry=one) for one, count in zip(codes, said, strict=True) if count == max(said))
