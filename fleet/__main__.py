"""`preau`: says what to install when only the agent is here, else runs the command line."""

import sys
from importlib import import_module


def main() -> None:
    """Run `preau`; exit status 3 when the controller's libraries are missing."""
    try:
        run = import_module("fleet.cli").run
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] in {"fleet", "agent", "filter"}:
            raise
        sys.stderr.write(
            f"Il manque la bibliothèque « {error.name} » : seul l’agent est installé ici.\n"
            "Pour le contrôleur : pip install 'preau[controller]' ; pour tout lancer sur cette machine : ./run\n"
        )
        sys.exit(3)
    run()


if __name__ == "__main__":
    main()
