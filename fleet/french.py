"""The command line's own words in French: typer's titles and complaints are English, whatever LANG says."""

import re
import sys

import typer
from typer import rich_utils

WORDS = {
    "DEPRECATED_STRING": "(abandonné) ",
    "DEFAULT_STRING": "[par défaut : {}]",
    "ENVVAR_STRING": "[variable : {}]",
    "REQUIRED_LONG_STRING": "[obligatoire]",
    "ARGUMENTS_PANEL_TITLE": "Arguments",
    "OPTIONS_PANEL_TITLE": "Options",
    "COMMANDS_PANEL_TITLE": "Commandes",
    "ERRORS_PANEL_TITLE": "Erreur",
    "ABORTED_TEXT": "Abandon.",
}
"""What `typer.rich_utils` puts around our own texts."""
TYPES = {
    "<str>": "<texte>",
    "<list[str]>": "<texte>",
    "<int>": "<nombre>",
    "<int range>": "<nombre>",
    "<float>": "<nombre>",
    "<path>": "<chemin>",
    "<bool>": "",
}
"""What an option expects."""
COMPLAINTS: tuple[tuple[str, str], ...] = (
    (r"No such option: (\S+) \(Possible options: (.+)\)", r"l’option \1 n’existe pas ; proches : \2."),
    (r"No such option: (\S+)", r"l’option \1 n’existe pas."),
    (r"No such command '(.+)'\. Did you mean (.+)\?", r"la commande « \1 » n’existe pas ; proches : \2."),
    (r"No such command '(.+)'\.", r"la commande « \1 » n’existe pas."),
    (r"Missing command\.", r"il manque la commande."),
    (r"Missing argument '(.+?)'\..*", r"il manque l’argument \1."),
    (r"Missing option '(.+?)'\..*", r"il manque l’option \1."),
    (r"Got unexpected extra argument\(s\) \((.+)\)", r"de trop : \1"),
    (r"Option '(.+)' does not take a value\.", r"l’option \1 ne prend pas de valeur."),
    (r"Option '(.+)' requires an argument\.", r"l’option \1 attend une valeur."),
)
VALUES: tuple[tuple[str, str], ...] = (
    (r"Input should be a valid integer.*", r"un nombre entier est attendu."),
    (r"Input should be a valid number.*", r"un nombre est attendu."),
    (r"Input should be greater than or equal to (\S+)", r"le plus petit permis est \1."),
    (r"Input should be less than or equal to (\S+)", r"le plus grand permis est \1."),
    (r"Input should be a valid boolean.*", r"oui ou non est attendu (true, false)."),
    (r"Input should be a valid datetime.*", r"une date et une heure sont attendues."),
    (r"Input should be a valid date.*", r"une date est attendue (AAAA-MM-JJ)."),
    (r"Input should be a valid UUID.*", r"un identifiant est attendu."),
    (r"Value error, .+ is not one of (.+)\.", r"au choix : \1."),
    (r"\w+ '(.+)' does not exist\.", r"« \1 » n’existe pas."),
    (r"\w+ '(.+)' is a directory\.", r"« \1 » est un dossier."),
    (r"\w+ '(.+)' is a file\.", r"« \1 » est un fichier."),
    (r"\w+ '(.+)' is not readable\.", r"« \1 » ne peut pas être lu."),
    (r"\w+ '(.+)' is not writable\.", r"« \1 » ne peut pas être écrit."),
)
BAD_VALUE = re.compile(r"Invalid value(?: for (?P<option>.+?))?: (?P<why>.+)", re.DOTALL)


def run_in_french(app: typer.Typer) -> int:
    """Run the command line; its exit status, a wrong command having been told in French on standard error."""
    for name, text in WORDS.items():
        setattr(rich_utils, name, text)
    command = typer.main.get_command(app)
    dress(typer.Context(command))
    try:
        status = command(prog_name="preau", standalone_mode=False)
    except typer.Abort:
        sys.stderr.write("Abandon.\n")
        return 1
    except typer.TyperException as error:
        sys.stderr.write(complaint(error))
        return error.exit_code
    return status if isinstance(status, int) else 0


def dress(context: typer.Context) -> None:
    """Give a command, and those below it, their French placeholders and the text of --help."""
    command = context.command
    if (showing_help := command.get_help_option(context)) is not None:
        showing_help.help = "Affiche cette aide."
    for param in command.get_params(context):
        if isinstance(param, typer.core.TyperOption) and param.metavar is None:
            param.metavar = TYPES.get(param.display_type(context) or "")
    if isinstance(command, typer.core.TyperGroup):
        command.subcommand_metavar = "COMMANDE [ARGUMENTS]…"
        for below in command.commands.values():
            dress(typer.Context(below, parent=context))


def complaint(error: typer.TyperException) -> str:
    """What is wrong with a command, how it is used and where its help is; nothing when the help was shown instead."""
    text = error.format_message()
    if not text:
        return ""
    context: typer.Context | None = getattr(error, "ctx", None)
    if context is None:
        return f"Erreur : {in_french(text)}\n"
    return f"{context.get_usage()}\nErreur : {in_french(text)}\nVoir « {context.command_path} --help ».\n"


def in_french(text: str) -> str:
    """One of typer's sentences; as it came when it is none that we know, such as our own."""
    if bad := BAD_VALUE.fullmatch(text):
        where = f" pour {bad['option']}".replace("'", "") if bad["option"] else ""
        return f"valeur incorrecte{where} : {replaced(VALUES, bad['why'])}"
    return replaced(COMPLAINTS, text)


def replaced(table: tuple[tuple[str, str], ...], text: str) -> str:
    for pattern, french in table:
        if found := re.fullmatch(pattern, text, re.DOTALL):
            return found.expand(french).replace("'", "")
    return text
