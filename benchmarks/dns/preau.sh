# This filter, by its compiled plane (PLANE=python: by asyncio). Python and packages: PREAU_PYTHON, by default .venv's.
PREAU=$(cd "$SERVERS/../.." && pwd)
PYTHON=${PREAU_PYTHON:-$PREAU/.venv/bin/python}
compile() { (cd "$PREAU" && "$PYTHON" -m filter compile --list "$LIST:jeux:domains" --serial "$1" --out "$D/names" > /dev/null); }
prepare() { compile 1; }
start() {
  cd "$PREAU"
  exec "$PYTHON" -m filter serve --bundle "$D/names" --listen "127.0.0.1:$PORT" --upstream "127.0.0.1:$UP" \
    --plane "${PLANE:-compiled}" --log-format console
}
change() { compile 2; }
reload() { kill -HUP "$PID"; }
