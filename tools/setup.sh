# Sourced by ./run and ./test, from the project's root: makes .venv once, and again only when a lock changed.
# Call: set_up LOCK_FILE

say() { printf '%s\n' "$*" >&2; }
give_up() { say "$*"; exit 1; }

# A Python of 3.11 or more that really runs: a name on the PATH may be an empty shim.
find_python() {
    for candidate in python3.13 python3.12 python3.11 python3 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    give_up "Il faut Python 3.11 ou plus récent (Debian 12, Ubuntu 24.04 : apt install python3 python3-venv)."
}

has_uv() { uv --version >/dev/null 2>&1; }

# What an installation depends on. The folder too: the commands of a moved .venv point to its old place.
print_stamp() { pwd && cksum "$1" pyproject.toml setup.py filter/plane/*.[ch]; }
is_current() { [ -x .venv/bin/preau ] && print_stamp "$1" | cmp -s - ".venv/.$1.stamp"; }

make_environment() {
    .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && return
    python=$(find_python) || exit 1
    if has_uv; then
        uv venv --quiet --clear --python "$python" .venv || give_up "uv n’a pas pu créer .venv."
        return
    fi
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
        give_up "Il manque le module venv de $python. Sur Debian ou Ubuntu : apt install python3-venv"
    "$python" -m venv --clear .venv || give_up "$python n’a pas pu créer .venv."
}

install() {
    if has_uv; then
        uv pip install --quiet --python .venv/bin/python "$@"
    else
        .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null || return 1
        .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"
    fi
}

set_up() {
    [ -r "$1" ] || give_up "Il manque $1 : lancez cette commande depuis un clone entier du projet."
    is_current "$1" && return
    say "Installation dans .venv (une seule fois, une à deux minutes selon le réseau)…"
    make_environment
    rm -f .venv/.*.stamp
    # Two calls: a project under change cannot be named by its hash.
    install --require-hashes -r "$1" && install --no-deps -e . ||
        give_up "L’installation n’a pas abouti : lisez plus haut, puis relancez la même commande."
    print_stamp "$1" >".venv/.$1.stamp"
    if [ "$1" = requirements-dev.lock ]; then # it holds all of the other
        print_stamp requirements.lock >.venv/.requirements.lock.stamp
    fi
}
