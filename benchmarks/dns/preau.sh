# This filter as a school has it: a policy of 483 schools (school.py), metrics, name counts, limits, one process.
# PLANE=python: without the compiled plane. Python and packages: PREAU_PYTHON, by default .venv's.
PREAU=$(cd "$SERVERS/../.." && pwd)
PYTHON=${PREAU_PYTHON:-$PREAU/.venv/bin/python}
compile() {
  (cd "$PREAU" && "$PYTHON" -m filter compile --list "$LIST:jeux:domains" --serial "$1" --out "$D/names" > /dev/null &&
    "$PYTHON" -m benchmarks.dns.school "$D/names" "$1")
}
prepare() { compile 1; }
start() {
  cd "$PREAU"
  mkdir -p "$D/data"
  exec "$PYTHON" -m filter serve --bundle "$D/names" --listen "127.0.0.1:$PORT" --upstream "127.0.0.1:$UP" \
    --data-dir "$D/data" --metrics "127.0.0.1:$CTL" --plane "${PLANE:-compiled}" --workers 0 --log-format console
}
change() { compile 2; }
reload() { kill -HUP "$PID"; }
