"""What stops the agent, each with its exit status and a French sentence that says what to do."""

from datetime import datetime
from typing import ClassVar


class AgentError(Exception):
    """Something a person or the loop can act on. ``str(error)`` is French and holds no secret."""

    exit_code: ClassVar[int] = 13


class UsageError(AgentError):
    """The command line or the settings make no sense."""

    exit_code = 2


class TokenWrong(AgentError):
    """The token cannot be read, or the controller does not know it."""

    exit_code = 3


class TokenLapsed(AgentError):
    """The token expired or was revoked."""

    exit_code = 4


class TokenUsedUp(AgentError):
    """The token enrolled all the devices it was meant for."""

    exit_code = 5


class WrongAuthority(AgentError):
    """The controller's certificate is not signed by the authority that the token (or the system) trusts."""

    exit_code = 6


class WrongClock(AgentError):
    """This device and the controller do not live at the same moment, or the certificate is out of its dates."""

    exit_code = 7

    def __init__(self, device: datetime, controller: datetime | None, why: str) -> None:
        theirs = f"{controller:%d/%m/%Y %H:%M:%S} UTC" if controller else "inconnue"
        super().__init__(
            f"{why} Heure de cet appareil : {device:%d/%m/%Y %H:%M:%S} UTC ; heure du contrôleur : {theirs}. "
            "Mettez l’appareil à l’heure (menu Date et heure, ou « timedatectl set-ntp true ») ; si son heure est "
            "juste, le certificat du contrôleur est à renouveler."
        )


class ControllerUnreachable(AgentError):
    """No answer, or an answer that says to come back later. Waiting may help."""

    exit_code = 8

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the controller asked to wait, if it did."""


class CredentialRefused(AgentError):
    """The controller does not accept this device's credential: it has to be enrolled again."""

    exit_code = 9


class NotEnrolled(AgentError):
    """There is no usable identity under this root."""

    exit_code = 9


class AlreadyRunning(AgentError):
    """Another agent holds the lock of this root."""

    exit_code = 10


class RootNotWritable(AgentError):
    """The root, or the agent's own folder in it, cannot be written."""

    exit_code = 11


class TooManyAttempts(AgentError):
    """The controller counts too many wrong tokens from this network."""

    exit_code = 12


class Refused(AgentError):
    """The controller refused for another reason, or answered something that is not this protocol."""

    exit_code = 13

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code
        """The controller's own, ``protocol.invalid`` for one."""


class Stopped(AgentError):
    """SIGTERM or SIGINT arrived while nothing was half done."""

    exit_code = 130
