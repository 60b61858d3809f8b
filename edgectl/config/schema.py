"""The table of keys as JSON Schema 2020-12, so that an editor completes and checks while typing.

It says what can be said of one value at a time; `edgectl check` also sees what does not fit together.
"""

from __future__ import annotations

from edgectl.config.keys import TOKEN_LIST, TOKEN_MAP, SiteFile
from edgectl.config.kinds import Schema
from edgectl.config.sections import SectionOf

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> Schema:
    """The schema of ``site.yaml``."""
    return {"$schema": _DIALECT, "title": "edgectl site", **SectionOf(SiteFile).schema()}


def tokens_json_schema() -> Schema:
    """The schema of ``tokens.yaml``."""
    either = {"anyOf": [TOKEN_LIST.schema(), TOKEN_MAP.schema()]}
    wrapped = {"type": "object", "properties": {"tokens": either}, "required": ["tokens"], "additionalProperties": False}
    return {"$schema": _DIALECT, "title": "edgectl tokens", "anyOf": [wrapped, TOKEN_LIST.schema(), TOKEN_MAP.schema()]}
