"""What every page is made with: the templates, the style, and the rule to fetch nothing."""

import base64
import hashlib
from collections.abc import Callable
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from equipoise.dossier import words


def environment(*names: str, **filters: Callable[..., Any]) -> Any:
    """Return what reads the templates: every text is escaped, and an unknown name raises.

    Templates may use the functions `names` of `words`, and `filters` by their names here.
    """
    # Any: jinja2 types its tables of filters and tests by the entries of its own.
    made: Any = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=words.clean,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_file),
    )
    made.filters |= {name: getattr(words, name) for name in names} | filters
    return made


def own(name: str, more: str = "") -> Markup:
    """Return a style or script of ours and what a page adds to it, not to be escaped."""
    return Markup(_file(name) + more)  # noqa: S704  (our own)


def policy(style: str, script: str = "") -> str:
    """Return the policy that lets the page run its own script and style, and fetch nothing."""
    rules = [
        "default-src 'none'",
        f"style-src '{_digest(style)}'",
        f"script-src '{_digest(script)}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(rules)


def _file(name: str) -> str:
    return resources.files("equipoise.dossier").joinpath("templates", name).read_text("utf-8")


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
