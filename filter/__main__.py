"""`preau-filter`: says what to install when only the agent is here, else runs the command line."""

import sys
from importlib import import_module


def main() -> None:
    """Run `preau-filter`; exit status 3 when the filter's libraries are missing."""
    try:
        run = import_module("filter.cli").run
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] == "filter":
            raise
        sys.stderr.write(
            f"Il manque la bibliothèque « {error.name} » : seul l’agent est installé ici.\n"
            "Pour le filtre : pip install 'preau[filter]'\n"
        )
        sys.exit(3)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
