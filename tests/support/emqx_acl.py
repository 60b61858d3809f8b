"""EMQX's ``acl.conf`` as its manual describes it: Erlang terms, the first rule that fits decides.

https://docs.emqx.com/en/emqx/v5.8/access-control/authz/file.html. What that page does not have is an error, not passed over.
"""

from __future__ import annotations

import re
from typing import Any

from hwsim.world.broker import topic_matches

_TOKEN = re.compile(r"\s+|%[^\n]*|(?P<string>\"[^\"\\]*\")|(?P<atom>[a-z][A-Za-z0-9_@]*|'[^'\\]*')|(?P<mark>[{}\[\],.])")


class Atom(str):
    """``allow``, ``all``, ``'and'``: a name, as against a string."""

    __slots__ = ()


def parse(text: str) -> list[tuple[Any, ...]]:
    """The rules, in order. Raises ``ValueError``."""
    tokens: list[Any] = []
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise ValueError(f"no Erlang term: {text[place : place + 30]!r}")
        place = found.end()
        if found["string"]:
            tokens.append(found["string"][1:-1])
        elif found["atom"]:
            tokens.append(Atom(found["atom"].strip("'")))
        elif found["mark"]:
            tokens.append((found["mark"],))
    rules = []
    while tokens:
        rules.append(_term(tokens))
        _expect(tokens, ".")
    for rule in rules:
        _check(rule)
    return rules


def _term(tokens: list[Any]) -> Any:
    token = tokens.pop(0)
    for opening, closing, make in (("{", "}", tuple), ("[", "]", list)):
        if token == (opening,):
            items: list[Any] = []
            while tokens[0] != (closing,):
                if items:
                    _expect(tokens, ",")
                items.append(_term(tokens))
            tokens.pop(0)
            return make(items)
    if isinstance(token, tuple):
        raise ValueError(f"{token[0]} where a term begins")  # noqa: TRY004 - of what is read
    return token


def _expect(tokens: list[Any], mark: str) -> None:
    if not tokens or tokens.pop(0) != (mark,):
        raise ValueError(f"{mark} is missing")


def _check(rule: Any) -> None:
    """Two members, or four; a permission first."""
    if not isinstance(rule, tuple) or len(rule) not in (2, 4) or rule[0] not in ("allow", "deny"):
        raise ValueError(f"no rule: {rule!r}")
    if len(rule) == 2 and rule[1] != "all":
        raise ValueError(f"a rule of two members is for all: {rule!r}")
    if len(rule) == 4 and (rule[2] not in ("publish", "subscribe", "all") or not isinstance(rule[3], list) or not rule[3]):
        raise ValueError(f"no action or no topics: {rule!r}")
    _is_who(rule[1], "")


def _is_who(who: Any, user: str) -> bool:
    match who:
        case Atom("all"):
            return True
        case (Atom("user" | "username"), str(name)) if not isinstance(name, Atom):
            return name == user
        case (Atom("user" | "username"), (Atom("re"), str(pattern))):
            return re.search(pattern, user) is not None
        case (Atom("and"), [*parts]):
            return all(_is_who(part, user) for part in parts)
        case (Atom("or"), [*parts]):
            return any(_is_who(part, user) for part in parts)
    raise ValueError(f"nobody that this reader knows: {who!r}")


def allows(rules: list[tuple[Any, ...]], user: str, action: str, topic: str) -> bool:
    """``topic`` of a subscription is a filter; of a shared one, the part behind the group counts."""
    name = topic.split("/", 2)[2] if topic.startswith("$share/") else topic
    for rule in rules:
        if not _is_who(rule[1], user):
            continue
        if len(rule) == 2 or (rule[2] in (action, "all") and any(_fits(wanted, user, name) for wanted in rule[3])):
            return bool(rule[0] == "allow")
    raise ValueError("no rule fits: what happens then is not in this file")


def _fits(wanted: Any, user: str, topic: str) -> bool:
    match wanted:
        case (Atom("eq"), str(exact)):
            return exact.replace("${username}", user) == topic
        case str(pattern):
            return topic_matches(pattern.replace("${username}", user), topic)
    raise ValueError(f"no topic: {wanted!r}")
