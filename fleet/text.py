"""How names are compared when people type them: without case, accents or punctuation."""

import re
import unicodedata

SPELLINGS = ((re.compile(r"\bst\b"), "saint"), (re.compile(r"\bste\b"), "sainte"), (re.compile(r"\bwi fi\b"), "wifi"))
"""Two ways to write one thing -> the one that is kept. The longer: what is typed of it so far is found in it."""


def fold(*parts: str | None) -> str:
    """Join the parts and reduce them to lower-case ASCII words: ``fold("Étampes-sur-Marne") == "etampes sur marne"``.

    Both what is searched and what is typed pass here, so that "etampes" finds "Étampes" and "st quentin" finds
    "Saint-Quentin". Ligatures are opened (œ → oe).
    """
    text = " ".join(part for part in parts if part)
    # Twice: taking a letter apart may show a capital ("℡"), and lower case may bring an accent ("İ").
    for _ in range(2):
        text = unicodedata.normalize("NFKD", text.casefold())
    text = text.replace("œ", "oe").replace("æ", "ae")
    bare = "".join(c for c in text if not unicodedata.combining(c))
    words = " ".join("".join(c if c.isalnum() else " " for c in bare).split())
    for spelling, kept in SPELLINGS:
        words = spelling.sub(kept, words)
    return words


def like(typed: str) -> str:
    """The LIKE pattern that finds ``typed`` inside a folded column (fold leaves no wildcard to escape)."""
    return f"%{fold(typed)}%"


def starts(typed: str) -> tuple[str, str]:
    """The two LIKE patterns that find ``typed`` where a word of a folded column begins."""
    folded = fold(typed)
    return f"{folded}%", f"% {folded}%"
