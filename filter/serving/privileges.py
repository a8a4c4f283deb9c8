"""Rights given up for good, once every socket is bound; and as many files as the system lets us open."""

import grp
import os
import pwd
import resource


class UserInvalid(Exception):
    """The process cannot go on as that account; the text says why, in French."""


def drop_to(user: str) -> None:
    """Go on as this account, with its groups, and never come back; raise UserInvalid."""
    try:
        account = pwd.getpwnam(user)
    except KeyError as error:
        raise UserInvalid(f"--user {user} : ce compte n’existe pas") from error
    if account.pw_uid == os.geteuid():
        return
    if os.geteuid() != 0:
        raise UserInvalid(f"--user {user} : seul root peut changer de compte")
    groups = [each.gr_gid for each in grp.getgrall() if user in each.gr_mem]
    os.setgroups([*groups, account.pw_gid])
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)


def allow_files() -> int:
    """Raise the limit of open files to what the system allows; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
