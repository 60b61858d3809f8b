"""``credentials.xml`` of HiveMQ's File RBAC extension as its page describes it: what no permission names is denied.

https://github.com/hivemq/hivemq-file-rbac-extension. A member that the sample does not use is an error, not passed over.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hwsim.world.broker import topic_matches

Permissions = dict[str, list[tuple[str, str]]]
"""By user: activity and topic, with the name filled in."""

_ACTIVITIES = ("PUBLISH", "SUBSCRIBE")


def parse(text: str) -> Permissions:
    """Raises ``ValueError``."""
    root = ET.fromstring(text)
    roles = {
        _text(role, "id"): [_permission(one) for one in role.iterfind("permissions/permission")]
        for role in root.find("roles") or ()
    }
    found: Permissions = {}
    for user in root.iterfind("users/user"):
        name = _text(user, "name")
        if set("#+") & set(name):
            raise ValueError(f"the extension lets in no user with a wildcard: {name}")
        names = [one.text or "" for one in user.iterfind("roles/id")]
        if not names or not set(names) <= set(roles):
            raise ValueError(f"{name} has no role, or one that is not there: {names}")
        found[name] = [(kind, topic.replace("${{username}}", name)) for role in names for kind, topic in roles[role]]
    return found


def _permission(element: ET.Element) -> tuple[str, str]:
    if [child.tag for child in element] != ["topic", "activity"] or _text(element, "activity") not in _ACTIVITIES:
        raise ValueError(f"no permission that this reader knows: {ET.tostring(element, 'unicode')}")
    return _text(element, "activity"), _text(element, "topic")


def _text(element: ET.Element, tag: str) -> str:
    found = element.findtext(tag)
    if not found:
        raise ValueError(f"{tag} is missing in {element.tag}")
    return found


def allows(permissions: Permissions, user: str, action: str, topic: str) -> bool:
    """``topic`` of a subscription is a filter; of a shared one, the part behind the group counts."""
    name = topic.split("/", 2)[2] if topic.startswith("$share/") else topic
    return any(kind == action.upper() and topic_matches(pattern, name) for kind, pattern in permissions.get(user, ()))
