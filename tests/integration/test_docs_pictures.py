"""The pictures of the documentation are those that the script would draw now."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]


def load() -> ModuleType:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("draw_docs", ROOT / "scripts" / "draw_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["draw_docs"] = module
    spec.loader.exec_module(module)
    return module


SCRIPT = load()


def words(svg: str) -> list[str]:
    return sorted("".join(each.itertext()) for each in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.parametrize("name", sorted(SCRIPT.PICTURES))
def test_the_picture_is_not_stale(name: str) -> None:
    """Byte for byte with the libraries that drew it; with others, which place lines a little differently, by its texts."""
    kept = (SCRIPT.IMAGES / f"{name}.svg").read_text(encoding="utf-8")
    now = SCRIPT.drawn(name)

    remedy = f"docs/images/{name}.svg is stale: run python scripts/draw_docs.py"
    assert words(kept) == words(now), remedy
    if kept.startswith(SCRIPT.drawn_with()):
        assert kept == now, remedy


def test_every_picture_in_the_documentation_is_drawn_by_the_script() -> None:
    shown = {name for page in ROOT.glob("docs/**/*.md") for name in re.findall(r"\(images/([^)]+)\)", page.read_text())}

    assert shown == {f"{name}.svg" for name in SCRIPT.PICTURES}
    assert {path.name for path in SCRIPT.IMAGES.iterdir()} == shown
