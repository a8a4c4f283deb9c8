"""How accounts are spoken of: what was done, how an account stands, and browsers as people call them."""

import re

from dashboards.portal.words import Word

STATES = {
    "open": Word("Ouvert", "check-circle", "good"),
    "invited": Word("Invité", "send", "info"),
    "closed": Word("Fermé", "archive"),
}
DONE = {
    "password-changed": "Votre mot de passe est changé. Vos autres sessions sont terminées.",
    "factor-off": "Le second facteur est désactivé.",
    "session-ended": "La session est terminée.",
    "sessions-ended": "Vos autres sessions sont terminées.",
    "token-ended": "Le jeton est révoqué : il n’ouvre plus rien.",
    "confirmed": "C’est bien vous : vous avez dix minutes pour cette action.",
    "invited": "L’invitation part par courriel.",
    "invitation-withdrawn": "L’invitation est retirée, et le compte avec elle.",
    "role-given": "Le rôle est donné.",
    "role-taken": "Le rôle est retiré.",
    "account-closed": "Le compte est fermé : ses sessions et ses jetons sont terminés.",
    "account-reopened": "Le compte est rouvert, avec les rôles qu’il avait.",
    "factor-reset": "Le second facteur est réinitialisé ; la personne en est avertie par courriel.",
    "account-sessions-ended": "Toutes ses sessions sont terminées.",
}
BROWSERS = (
    (re.compile(r"Edg(?:e|A|iOS)?/"), "Edge"),
    (re.compile(r"Firefox/|FxiOS/"), "Firefox"),
    (re.compile(r"OPR/"), "Opera"),
    (re.compile(r"Chrome/|CriOS/|Chromium/"), "Chrome"),
    (re.compile(r"Safari/"), "Safari"),
)
SYSTEMS = (
    (re.compile(r"Windows"), "Windows"),
    (re.compile(r"iPad|iPhone"), "iOS"),
    (re.compile(r"Mac OS X"), "macOS"),
    (re.compile(r"Android"), "Android"),
    (re.compile(r"CrOS"), "ChromeOS"),
    (re.compile(r"Linux"), "Linux"),
)


def browser(user_agent: str) -> str:
    """``Firefox, Windows``, of what a browser calls itself; a program by the first word of its own name."""
    found = [next((name for pattern, name in names if pattern.search(user_agent)), "") for names in (BROWSERS, SYSTEMS)]
    return ", ".join(name for name in found if name) or user_agent.partition(" ")[0][:40] or "Navigateur inconnu"
