"""`preau-filter status`: ask a running filter how it is."""

import argparse
import http.client
import json
import socket
import sys

from filter.config import ConfigInvalid, Endpoint

PROBLEMS = (ConfigInvalid,)
UNITS = ((86_400, "j"), (3600, "h"), (60, "min"), (1, "s"))
WAYS = {"compiled": "le module compilé répond", "python": "Python répond"}


def run(args: argparse.Namespace) -> int:
    """Exit status 0 when the filter is there and ready, 1 otherwise."""
    if args.metrics is None:
        raise ConfigInvalid("il faut --metrics ADRESSE:PORT, l’adresse donnée à « preau-filter serve »")
    endpoint = Endpoint.parse(args.metrics)
    try:
        health = ask(endpoint)
    except (OSError, http.client.HTTPException, ValueError, TypeError) as error:
        raise ConfigInvalid(f"aucun filtre ne répond à {endpoint} ({reason(error)})") from error
    sys.stdout.write(json.dumps(health, ensure_ascii=False, indent=2) + "\n" if args.json else as_text(health))
    return 0 if health.get("ready") else 1


def reason(error: Exception) -> str:
    """A short cause, in French."""
    match error:
        case ConnectionRefusedError():
            return "connexion refusée : il est arrêté, ou sert ses mesures ailleurs"
        case TimeoutError():
            return "délai dépassé"
        case socket.gaierror():
            return "ce nom est introuvable"
        case OSError():
            return "réseau injoignable ou connexion coupée"
        case _:
            return "ce qui répond là n’est pas un filtre"


def ask(endpoint: Endpoint) -> dict[str, object]:
    """What /health/ready says, ready or not."""
    connection = http.client.HTTPConnection(*endpoint, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        values = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return dict(values)


def as_text(health: dict[str, object]) -> str:
    state = "prêt" if health.get("ready") else why_not_ready(health)
    return (
        f"Filtre {state} (version {health.get('version')})\n"
        f"  noms         : n° {health.get('bundle_serial')}, compilés le {health.get('bundle_compiled_at')}"
        f"{describe_age(health.get('bundle_age_seconds'))}, {health.get('bundle_names')} en tout\n"
        f"  politique    : n° {health.get('policy_serial')}, du {health.get('policy_compiled_at')}"
        f"{describe_age(health.get('policy_age_seconds'))}\n"
        f"{describe_refusals(health.get('refused'))}"
        f"  en marche    : depuis {health.get('uptime_seconds')} s\n"
        f"  en UDP       : {WAYS.get(str(health.get('plane')), 'inconnu')}\n"
        f"{describe_workers(health.get('workers'))}"
        f"  cache        : {health.get('cache_entries')} réponses, {health.get('cache_bytes')} octets\n"
        f"  résolveurs   : {describe_upstreams(health.get('upstreams'))}\n"
    )


def why_not_ready(health: dict[str, object]) -> str:
    if health.get("bundle_serial") is not None:
        return "sans processus qui réponde (voir le journal)"
    return "en attente de ses listes : aucune réponse n’est donnée sans filtrage"


def describe_age(seconds: object) -> str:
    """How long ago, in the largest unit of which there is one."""
    if not isinstance(seconds, int) or seconds < 0:
        return ""
    size, unit = next(((size, unit) for size, unit in UNITS if seconds >= size), UNITS[-1])
    return f" (il y a {seconds // size} {unit})"


def describe_refusals(refused: object) -> str:
    """A line for each file that the controller offered and this filter does not use."""
    if not isinstance(refused, dict):
        return ""
    what = {"names": "noms", "policy": "politique"}
    return "".join(f"  refusé       : {what.get(n, n)}, {r['reason']}, le {r['at']}\n" for n, r in refused.items())


def describe_workers(workers: object) -> str:
    """A line for the processes that answer, when there are several."""
    if not isinstance(workers, list):
        return ""
    ready = sum(bool(each["ready"]) for each in workers)
    replaced = sum(int(each["restarts"]) for each in workers)
    return f"  processus    : {ready} sur {len(workers)} répondent, {replaced} remplacés\n"


def describe_upstreams(upstreams: object) -> str:
    if not isinstance(upstreams, list):
        return "inconnus"
    return ", ".join(f"{each['address']} ({describe_upstream(each)})" for each in upstreams)


def describe_upstream(health: dict[str, object]) -> str:
    if health.get("leads_back"):
        return "mène à ce filtre : une boucle"
    if health["failures"]:
        return "en panne"
    return "répond" if health.get("milliseconds") is None else f"répond en {health['milliseconds']} ms"
