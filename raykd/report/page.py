"""What every page of the report is made with: one file each, with its style and its one small script inside."""

import base64
import hashlib
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from raykd.report.plots import KINDS

_STYLE, _SCRIPT = "style.css", "sort.js"


def render(template: str, **values: Any) -> str:
    """A page from a template of this package.

    The page's own policy lets it load nothing, and run nothing but the script that sorts its tables.
    """
    environment = Environment(
        loader=FunctionLoader(_source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = _source(_SCRIPT)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    own = {"style": Markup(_source(_STYLE)), "script": Markup(script), "script_digest": digest, "kinds": KINDS}
    return environment.get_template(template).render(**own, **values)


def _source(name: str) -> str:
    return resources.files("raykd.report").joinpath(name).read_text(encoding="utf-8")
