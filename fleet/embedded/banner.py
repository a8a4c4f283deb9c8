"""The ready block: what to open, with which account, where things are, how to stop."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody of the demo who can sign in."""

    email: str
    password: str = field(repr=False)
    what: str
    """``technicien de l’ADICA``"""


@dataclass(frozen=True, slots=True)
class ReadyBlock:
    """What the person who started everything needs to know next."""

    seconds: float
    url: str
    accounts: Sequence[Account]
    dns_address: str
    dns_port: int
    page_port: int
    blocked_name: str | None
    """A name to try; None while the lists are being compiled."""
    ca_file: Path | None
    fingerprint: str
    var: Path
    postgres: Path | None
    program: Path
    """The `preau` that runs: it need not be on the PATH."""
    environment: Path
    sends_mail: bool = True
    asks_second_factor: bool = True
    own_servers: Sequence[str] = ()

    def render(self, *, colour: bool) -> str:
        """The block, each line ended."""
        bold, plain = ("\x1b[1m", "\x1b[0m") if colour else ("", "")
        rule = "─" * 78
        rows = [(f"{bold}{title:<11}{plain}" if title else " " * 11) + text for title, text in self._rows()]
        title = f"{bold}Préau est prêt{plain} ({self.seconds:.0f} s)"
        return "\n".join(["", rule, f" {title}", "", *(f" {row}" for row in rows), rule, "", ""])

    def _rows(self) -> Iterable[tuple[str, str]]:
        yield "Portail", self.url
        yield from self._account_rows()
        yield "DNS", f"{self.dns_address} port {self.dns_port} (UDP et TCP)"
        if self.blocked_name:
            yield "", f"kdig +edns @{self.dns_address} -p {self.dns_port} {self.blocked_name}   (bloqué)"
        else:
            yield "", "les listes se compilent encore : d’ici là, tout nom reçoit SERVFAIL"
        yield "", f"page de blocage : http://{self.dns_address}:{self.page_port}/"
        if self.ca_file is not None:
            yield "Autorité", f"{self.ca_file}  (à importer dans le navigateur)"
            half = len(self.fingerprint) // 2 + 1
            yield "", f"SHA-256 {self.fingerprint[:half]}"
            yield "", f"        {self.fingerprint[half:]}"
        if not self.sends_mail:
            yield "Courriels", "ils attendent : aucun serveur d’envoi n’est donné (PREAU_SMTP_URL)"
        yield "État", f"{self.var}" + (f" ; base : {self.postgres}" if self.postgres else "")
        for server in self.own_servers:
            yield "", server
        yield "Journaux", f"{self.var / 'log'}"
        yield "Commandes", f"PREAU_ENV_FILE={self.environment} {self.program} --help"
        yield "Arrêter", f"Ctrl-C (ou : kill {os.getpid()})"

    def _account_rows(self) -> Iterable[tuple[str, str]]:
        if not self.accounts:
            yield "Comptes", f"à créer avec : {self.program} account create --help"
        width = max((len(account.email) for account in self.accounts), default=0)
        title = "Comptes"
        for account in self.accounts:
            yield title, f"{account.email:<{width}}  {account.password}  {account.what}"
            title = ""
        if not self.asks_second_factor:
            yield "", "second facteur non exigé : c’est un essai (PREAU_SECOND_FACTOR=optional)"
