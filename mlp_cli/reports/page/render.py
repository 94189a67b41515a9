"""Fill the templates of a page with Jinja2.

Everything that a template shows is escaped, and control characters are made visible: names and
values come from files. The page has no script, and its policy forbids scripts, other styles than
its own, and whatever would be loaded.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

from mlp_cli._version import __version__
from mlp_cli.errors import visible_lines


def render(template: str, **contents: object) -> str:
    """Return the page that a template makes of its contents."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # needs the extra

    environment = Environment(
        loader=PackageLoader("mlp_cli.reports", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    loader = environment.loader
    assert loader is not None
    style, _, _ = loader.get_source(environment, "style.css")
    style = "\n".join(style.splitlines())  # a browser has these line ends, too, before it hashes
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page: str = environment.get_template(template).render(
        style=style, digest=digest, version=__version__, **contents
    )
    return page


def _visible(value: Any) -> Any:
    """Escape control characters of plain text; what is markup already is left as it is."""
    return visible_lines(value) if type(value) is str else value
