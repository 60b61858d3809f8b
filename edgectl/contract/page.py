"""The contract for people: one HTML page without anything from elsewhere, made from the AsyncAPI document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from edgectl.contract.channels import ROOT

Node = Mapping[str, Any]

_BASE: Final = f"{ROOT}/{{site}}/"

_STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882}
body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1,h2,h3{line-height:1.2} h2{margin-top:2.5rem;border-top:1px solid var(--line);padding-top:1rem}
code{background:var(--soft);border-radius:.2rem;padding:0 .25rem;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}
td,th{border:1px solid var(--line);padding:.3rem .5rem;text-align:left;vertical-align:top}
td:first-child code{white-space:nowrap}
@media(max-width:40rem){
table,tbody,tr,td{display:block} th{display:none} td{border:0;padding:.1rem 0}
tr{border-bottom:1px solid var(--line);padding:.5rem 0}
td:first-child code{white-space:normal}}
.up{color:#2a7} .down{color:#b60} nav li{margin:.1rem 0}
"""


def render(document: Node) -> str:
    """The page of an AsyncAPI document of ours."""
    title = f"{document['info']['title']} MQTT contract {document['info']['version']}"
    body = "\n".join(_body(document, title))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n'
    )


def _body(document: Node, title: str) -> Iterator[str]:
    yield f"<h1>{escape(title)}</h1>"
    yield from _paragraphs(document["info"]["description"])
    yield f"<h2>Topics</h2><p>All below <code>{escape(_BASE)}</code>.</p>"
    yield "<table><tr><th>topic</th><th></th><th>payload</th><th></th></tr>"
    for name, channel in document["channels"].items():
        operation = document["operations"][name]
        payloads = ", ".join(_link(message) for message in channel["messages"])
        arrow = '<span class="up">up</span>' if operation["action"] == "send" else '<span class="down">down</span>'
        retained = " Retained." if operation["bindings"]["mqtt"]["retain"] else ""
        words = operation["summary"] if operation["action"] == "send" else f"{channel['description']} {operation['summary']}"
        yield (
            f'<tr><td><code title="{escape(channel["address"])}">{escape(channel["address"].removeprefix(_BASE))}</code></td>'
            f"<td>{arrow}</td><td>{payloads}</td>"
            f"<td>{_text(_once(words) + retained)}</td></tr>"
        )
    yield "</table>"
    yield "<h2>Payloads</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield from _schema(name, schema)


def _schema(name: str, schema: Node) -> Iterator[str]:
    yield f'<h3 id="{escape(name)}">{escape(name)}</h3>'
    yield from _paragraphs(schema.get("description", ""))
    for part in schema.get("allOf", ()):
        yield f"<p>All of {_kind(part)}, and:</p>"
    if not schema.get("properties"):
        return
    required = set(schema.get("required", ()))
    yield "<table><tr><th>member</th><th>is</th><th></th></tr>"
    for member, one in schema["properties"].items():
        optional = "" if member in required else " (optional)"
        words = _text(one.get("description", ""))
        yield f"<tr><td><code>{escape(member)}</code>{optional}</td><td>{_kind(one)}</td><td>{words}</td></tr>"
    more = schema.get("additionalProperties")
    if isinstance(more, Mapping):
        yield f"<tr><td>any other</td><td>{_kind(more)}</td><td></td></tr>"
    yield "</table>"


def _kind(schema: Node) -> str:
    """What a member is, in a few words."""
    if "$ref" in schema:
        return _link(schema["$ref"].rsplit("/", 1)[-1])
    if "anyOf" in schema:
        return " or ".join(_kind(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(word))}</code>" for word in schema["enum"])
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_kind(schema['additionalProperties'])}"
    words = schema.get("format", kind)
    low, high = schema.get("minimum", schema.get("minLength")), schema.get("maximum", schema.get("maxLength"))
    if low is None and high is None:
        return escape(words)
    if kind == "string" and (low, high) == (1, None):
        return escape(f"{words}, not empty")
    unit = " characters" if kind == "string" else ""
    bounds = f"{low}{unit} or more" if high is None else f"{low or 0} to {high}{unit}"
    return escape(f"{words}, {bounds}")


def _link(name: str) -> str:
    return f'<a href="#{escape(name)}">{escape(name)}</a>'


def _paragraphs(text: str) -> Iterator[str]:
    for block in text.strip().split("\n\n"):
        lines = block.splitlines()
        if lines and all(line.startswith("- ") for line in lines):
            yield "<ul>" + "".join(f"<li>{_text(line[2:])}</li>" for line in lines) + "</ul>"
        elif block:
            yield f"<p>{_text(block)}</p>"


def _text(text: str) -> str:
    """Plain words with `code` in them."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


def _once(words: str) -> str:
    """A sentence that stands twice in a row, once."""
    half = len(words) // 2
    return words[:half] if words[:half] == words[half + 1 :] else words
