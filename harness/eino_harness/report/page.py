"""How pages are made: one look for all reports, text escaped, nothing fetched from anywhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2

__all__ = ["external_requests", "page_environment"]

_TEMPLATES = Path(__file__).parent / "templates"

_FETCHING = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object|image|use|link)\b[^>]*?
        \b(?:src|href|data|xlink:href)\s*=\s*["']?\s*((?:https?:)?//[^"'\s>]+)
      | @import\s+(?:url\()?["']?((?:https?:)?//[^"')\s]+)
      | url\(\s*["']?((?:https?:)?//[^"')\s]+)""",
    re.VERBOSE | re.IGNORECASE,
)
"""What makes a browser fetch something when it opens a page; a link that a reader may follow does not."""


def page_environment(*folders: Path) -> jinja2.Environment:
    """Return the templates of the reports, those in `folders` before ours; `base.html` is ours."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, _TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ms"] = lambda seconds: f"{1000 * seconds:,.2f}"
    return environment


def external_requests(page: str) -> list[str]:
    """Return the addresses that a browser would fetch from elsewhere when it opens the page."""
    return [next(filter(None, found.groups())) for found in _FETCHING.finditer(page)]
