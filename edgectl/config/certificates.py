"""How a listener's certificates are written: one credential, or a list of two."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgectl.config.kinds import Credential, Kind, ListOf
from edgectl.config.problems import Place
from edgectl.config.tree import Node, Sequence

CERTIFICATES_MAX = 2


@dataclass(frozen=True)
class Certificates(Kind[tuple[str, ...]]):
    """``{credential: NAME}``, or two of them: a charger that knows only RSA is served beside one that knows only ECDSA."""

    one: Credential = field(default_factory=Credential)

    def read(self, node: Node, place: Place) -> tuple[str, ...] | None:
        if not isinstance(node, Sequence):
            name = self.one.read(node, place)
            return None if name is None else (name,)
        names = ListOf(self.one, is_empty_allowed=False).read(node, place)
        if names is None or len(names) < len(node.items):
            return None
        if len(names) > CERTIFICATES_MAX:
            place.wrong("are too many certificates", "one, or two: one RSA and one ECDSA", found=f"{len(names)} items")
            return None
        if len(set(names)) < len(names):
            place.wrong("is twice the same certificate", "one, or two: one RSA and one ECDSA", found=names[0])
            return None
        return names

    def schema(self) -> dict[str, object]:
        one = self.one.schema()
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": CERTIFICATES_MAX}]}
