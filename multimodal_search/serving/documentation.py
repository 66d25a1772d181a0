"""``/docs`` made from the OpenAPI description: plain HTML, no script, nothing from another host."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any


def page_of(openapi: Mapping[str, Any]) -> str:
    """The whole page."""
    body = "".join(
        _operation(path, method, known, openapi)
        for path, methods in openapi["paths"].items()
        for method, known in methods.items()
    )
    title = escape(str(openapi["info"]["title"]))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/page/docs.css">'
        "</head><body><main>"
        f"<h1>{title}</h1><p>{escape(str(openapi['info'].get('description', '')))} "
        f'For programs: <a href="/openapi.json">openapi.json</a>.</p>{body}'
        f"<section><h2>Types</h2>{''.join(_types(openapi))}</section></main></body></html>"
    )


def _operation(path: str, method: str, known: Mapping[str, Any], openapi: Mapping[str, Any]) -> str:
    name = f'<span class="method">{method.upper()}</span> <code>{escape(path)}</code>'
    told = escape(known.get("description") or known.get("summary", "")).replace("\n\n", "<br>")
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}</td>"
        f"<td>{_shape(one.get('schema', {}))}</td><td>{escape(one.get('description', ''))}</td></tr>"
        for one in known.get("parameters", ())
    )
    parameters = f"<table>{rows}</table>" if rows else ""
    body = "".join(
        f"<p>Body, <code>{escape(kind)}</code>: {_shape(one.get('schema', {}))}</p>"
        for kind, one in known.get("requestBody", {}).get("content", {}).items()
    )
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td>{_answer(one)}</td>"
        f"<td>{escape(one.get('description', ''))}</td></tr>"
        for status, one in known.get("responses", {}).items()
    )
    return f"<section><h2>{name}</h2><p>{told}</p>{parameters}{body}<table>{answers}</table></section>"


def _answer(response: Mapping[str, Any]) -> str:
    return " ".join(
        f"<code>{escape(kind)}</code> {_shape(one.get('schema', {}))}"
        for kind, one in response.get("content", {}).items()
    )


def _shape(schema: Mapping[str, Any]) -> str:
    """A type in a few words, with a link to its own description."""
    if "$ref" in schema:
        name = escape(str(schema["$ref"]).rsplit("/", 1)[-1])
        return f'<a href="#{name}">{name}</a>'
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(_shape(one) for one in schema[key])
    if schema.get("type") == "array":
        return f"list of {_shape(schema.get('items', {}))}"
    if "enum" in schema:
        return escape(" | ".join(map(str, schema["enum"])))
    bounds = ", ".join(
        f"{word} {schema[key]}"
        for key, word in (
            ("minimum", "from"),
            ("maximum", "to"),
            ("maxLength", "at most"),
            ("maxItems", "at most"),
        )
        if key in schema
    )
    return escape(str(schema.get("type", "anything"))) + (f" ({escape(bounds)})" if bounds else "")


def _types(openapi: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in sorted(openapi.get("components", {}).get("schemas", {}).items()):
        rows = "".join(
            f"<tr><td><code>{escape(key)}</code></td><td>{_shape(one)}</td>"
            f"<td>{escape(str(one.get('description', '')))}{_default(one)}</td></tr>"
            for key, one in schema.get("properties", {}).items()
        )
        told = escape(schema.get("description", ""))
        yield f'<h3 id="{escape(name)}"><code>{escape(name)}</code></h3><p>{told}</p><table>{rows}</table>'


def _default(schema: Mapping[str, Any]) -> str:
    if "default" not in schema:
        return ""
    return f" (default: <code>{escape(json.dumps(schema['default'], ensure_ascii=False))}</code>)"
