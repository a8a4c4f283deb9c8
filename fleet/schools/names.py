"""School names as people write them: the official directory shouts them, without accents."""

import re

from fleet.schools.models import School

KINDS = {
    "ECOLE": "École",
    "COLLEGE": "Collège",
    "LYCEE": "Lycée",
    "GROUPE": "Groupe",
    "MATERNELLE": "maternelle",
    "ELEMENTAIRE": "élémentaire",
    "PRIMAIRE": "primaire",
    "SCOLAIRE": "scolaire",
    "PRIVE": "privé",
    "PRIVEE": "privée",
    "PUBLIC": "public",
    "PUBLIQUE": "publique",
    "INTERCOMMUNAL": "intercommunal",
    "INTERCOMMUNALE": "intercommunale",
    "SPECIALISEE": "spécialisée",
    "POLYVALENT": "polyvalent",
    "PROFESSIONNEL": "professionnel",
}
"""Words of the kind of school: the only ones whose accents are known for sure."""
SMALL = {"DE", "DU", "DES", "LA", "LE", "LES", "ET", "EN", "SUR", "SOUS", "AUX", "AU", "À", "A"}
SHOUTED = re.compile(rf"\b(?:{'|'.join(KINDS)})(?: [A-ZÀ-Ý0-9][A-ZÀ-Ý0-9'’.-]*)*\b")
"""A name as the directory shouts it: a word of the kind first."""
MUTE = re.compile(r"[aeiouyâéèêëîôûœ]|h(?!a)", re.IGNORECASE)
"""A vowel or a mute h; in these parts the h is sounded before an a (Ham, Haution, Hautevesnes)."""
ELIDED = re.compile(r"\b([DL]) (?=[AEIOUYHÉÈÊ])")


def written(name: str) -> str:
    """``ECOLE PRIMAIRE PRIVEE JEANNE D ARC`` as ``École primaire privée Jeanne d’Arc``; other names as they are."""
    if not name.isupper():
        return name
    words = ELIDED.sub(r"\1’", name).split()
    return " ".join(_word(word, is_first=index == 0) for index, word in enumerate(words))


def in_text(text: str) -> str:
    """A sentence in which names of the directory are written as people write them; the rest as it is."""
    return SHOUTED.sub(lambda found: written(found.group()), text)


def of(name: str) -> str:
    """``d’Achery``, ``de Guise``, ``du Nouvion``: whose a thing is."""
    for article, joined in (("Le ", "du "), ("Les ", "des ")):
        if name.startswith(article):
            return joined + name.removeprefix(article)
    return f"d’{name}" if MUTE.match(name) else f"de {name}"


def _word(word: str, *, is_first: bool) -> str:
    if word in KINDS:
        return KINDS[word]
    if word in SMALL and not is_first:
        return word.lower()
    if word.startswith(("D’", "L’")):
        return f"{word[0].lower()}’{word[2:].capitalize()}"
    return "-".join(part.capitalize() for part in word.split("-"))


def is_generic(name: str) -> bool:
    """Whether a name tells nothing but the kind: dozens of schools are called "École primaire"."""
    return all(word in KINDS for word in name.split())


def labelled(school: School) -> str:
    """The name, with whose school it is when the name alone would not tell (collectivity loaded)."""
    name = written(school.name)
    return f"{name} ({school.collectivity.name})" if is_generic(school.name) else name
