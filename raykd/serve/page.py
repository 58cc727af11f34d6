"""The page to try an exported model by hand: one HTML document without anything from elsewhere."""

from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined

_SHOWN_CLASSES = 10  # the most probable ones, where there are more

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def page(described: dict[str, Any]) -> str:
    """The page for a bundle. Args: described: its manifest."""
    template = Environment(undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    text = (resources.files("raykd") / "serve" / "page.html").read_text(encoding="utf-8")
    shared = {
        "fields": described["fields"],
        "numbers": described["inputs"]["kind"] == "features",
        "parts": described["parts"],
        "classes": described.get("class_names", []),
        "shown": min(_SHOWN_CLASSES, described["classes"]),
    }
    rendered: str = template.from_string(text).render(described=described, shared=shared)
    return rendered
