"""The French school calendar of zone B, as the ministry published it, and public holidays computed for any year.

School holidays: arrêté du 7 décembre 2022 (school years 2023-2024 to 2025-2026) and arrêté du 22 octobre 2025 (school
year 2026-2027, JORFTEXT000052416058), as on https://www.education.gouv.fr/calendrier-scolaire-100148. Zone B holds the
academies of Aix-Marseille, Amiens, Lille, Nancy-Metz, Nantes, Nice, Normandie, Orléans-Tours, Reims, Rennes and
Strasbourg. A period starts on the Saturday after the last lesson and ends on the eve of the return.

Nothing is guessed: after KNOWN_UNTIL no day is in the holidays, schedules go by the week alone, and whoever shows
schedules says so (``is_known``). A rector may move dates locally: schedules take exceptions for that.
"""

from datetime import date, timedelta

from filter.settings import DayException, Period

TOUSSAINT, NOEL, HIVER, PRINTEMPS, ASCENSION, ETE = (
    "Vacances de la Toussaint",
    "Vacances de Noël",
    "Vacances d’hiver",
    "Vacances de printemps",
    "Pont de l’Ascension",
    "Vacances d’été",
)
ZONE_B: tuple[Period, ...] = (
    Period(date(2025, 7, 5), date(2025, 8, 31), ETE),
    Period(date(2025, 10, 18), date(2025, 11, 2), TOUSSAINT),
    Period(date(2025, 12, 20), date(2026, 1, 4), NOEL),
    Period(date(2026, 2, 14), date(2026, 3, 1), HIVER),
    Period(date(2026, 4, 11), date(2026, 4, 26), PRINTEMPS),
    Period(date(2026, 5, 14), date(2026, 5, 17), ASCENSION),
    Period(date(2026, 7, 4), date(2026, 8, 31), ETE),
    Period(date(2026, 10, 17), date(2026, 11, 1), TOUSSAINT),
    Period(date(2026, 12, 19), date(2027, 1, 3), NOEL),
    Period(date(2027, 2, 20), date(2027, 3, 7), HIVER),
    Period(date(2027, 4, 17), date(2027, 5, 2), PRINTEMPS),
    Period(date(2027, 5, 6), date(2027, 5, 9), ASCENSION),
    Period(date(2027, 7, 3), date(2027, 8, 31), ETE),
)
KNOWN_FROM, KNOWN_UNTIL = ZONE_B[0].first, ZONE_B[-1].last
FIXED = {
    (1, 1): "Jour de l’an",
    (5, 1): "Fête du Travail",
    (5, 8): "Victoire de 1945",
    (7, 14): "Fête nationale",
    (8, 15): "Assomption",
    (11, 1): "Toussaint",
    (11, 11): "Armistice de 1918",
    (12, 25): "Noël",
}
AFTER_EASTER = {1: "Lundi de Pâques", 39: "Ascension", 50: "Lundi de Pentecôte"}


def school_holidays(first: date = date.min, last: date = date.max) -> tuple[Period, ...]:
    """The holidays of zone B that touch these days; none outside what is known."""
    return tuple(period for period in ZONE_B if period.first <= last and first <= period.last)


def is_known(day: date) -> bool:
    """Whether the ministry's calendar of this day is in ZONE_B."""
    return KNOWN_FROM <= day <= KNOWN_UNTIL


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (Meeus, Jones and Butcher)."""
    century, rest = divmod(year, 100)
    skipped, leap = divmod(century, 4)
    moon = (19 * (year % 19) + century - skipped - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    week = (32 + 2 * leap + 2 * (rest // 4) - moon - rest % 4) % 7
    shift = (year % 19 + 11 * moon + 22 * week) // 451
    month, day = divmod(moon + week - 7 * shift + 114, 31)
    return date(year, month, day + 1)


def public_holidays(year: int) -> tuple[Period, ...]:
    """The eleven public holidays of metropolitan France (code du travail, L3133-1), Alsace and Moselle apart."""
    days = {date(year, month, day): name for (month, day), name in FIXED.items()}
    for offset, name in AFTER_EASTER.items():
        day = easter(year) + timedelta(days=offset)
        days[day] = f"{days[day]}, {name}" if day in days else name
    return tuple(Period(day, day, name) for day, name in sorted(days.items()))


def closed_days(year: int) -> tuple[DayException, ...]:
    """The public holidays as days on which a schedule is never active."""
    return tuple(DayException(period.first, (), period.name) for period in public_holidays(year))
