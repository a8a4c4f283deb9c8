"""What the replies of list entries make together: an action, and the local answer that goes with it."""

from collections.abc import Sequence
from dataclasses import replace

from filter.deciding.decisions import Action, Decision, Rewrite
from filter.lists.entries import ReplyKind, RuleReply
from filter.names import LONGEST

CNAME = 5
PLAIN_REPLIES = {
    ReplyKind.NXDOMAIN: Action.NXDOMAIN,
    ReplyKind.NODATA: Action.NODATA,
    ReplyKind.REFUSED: Action.REFUSED,
    ReplyKind.DROP: Action.DROPPED,
    ReplyKind.TRUNCATE: Action.TRUNCATED,
}


def read_replies(replies: Sequence[RuleReply], name: str, qtype: int) -> tuple[Action, Rewrite | None]:
    """What several replies make together: an alias first, then a code, then all records of the type asked for."""
    for reply in replies:
        if reply.kind is ReplyKind.CNAME:
            target = expand_target(reply.target, name)
            if len(target) > LONGEST:  # as DNAME has it (RFC 6672): there can be no such name
                return Action.NXDOMAIN, None
            return Action.REWRITTEN, Rewrite(target, is_final=qtype == CNAME)
    for reply in replies:
        if (action := PLAIN_REPLIES.get(reply.kind)) is not None:
            return action, None
    records = tuple(record for reply in replies for record in reply.records if record.qtype == qtype)
    return (Action.REWRITTEN, Rewrite(None, records, is_final=True)) if records else (Action.NODATA, None)


def expand_target(target: str, name: str) -> str:
    """``*.jardin.example`` keeps the whole name that was asked for, before it."""
    return f"{name}{target[1:]}".removeprefix(".") if target.startswith("*.") else target


def under_target(judged: Decision, name: str) -> Decision:
    """A list's own records belong to the name that the answer led to: they are given behind an alias to it."""
    rewrite = judged.rewrite
    if rewrite is None or rewrite.target is not None or not rewrite.records:
        return judged
    return judged._replace(rewrite=replace(rewrite, target=name))


def action_for_target(judged: Decision) -> Action:
    """A list's own reply holds for what leads to its name, too, unless it needs another look-up."""
    is_alias = judged.rewrite is not None and judged.rewrite.target is not None
    return Action.BLOCKED if judged.category is None or is_alias else judged.action
