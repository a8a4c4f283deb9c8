"""How names are compared when people type them: without case, accents or punctuation."""

import unicodedata


def fold(*parts: str | None) -> str:
    """Join the parts and reduce them to lower-case ASCII words: ``fold("Étampes-sur-Marne") == "etampes sur marne"``.

    Both what is searched and what is typed pass here, so that "etampes" finds "Étampes" and "St-Quentin" finds
    "St Quentin". Ligatures are opened (œ → oe).
    """
    text = " ".join(part for part in parts if part)
    # Twice: taking a letter apart may show a capital ("℡"), and lower case may bring an accent ("İ").
    for _ in range(2):
        text = unicodedata.normalize("NFKD", text.casefold())
    text = text.replace("œ", "oe").replace("æ", "ae")
    bare = "".join(c for c in text if not unicodedata.combining(c))
    return " ".join("".join(c if c.isalnum() else " " for c in bare).split())


def like(typed: str) -> str:
    """The LIKE pattern that finds ``typed`` inside a folded column (fold leaves no wildcard to escape)."""
    return f"%{fold(typed)}%"
