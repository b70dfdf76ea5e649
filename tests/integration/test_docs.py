"""Every Python block of the README and of the documentation runs, as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from eino_harness.docs import run_page

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_python_block_of_the_page_runs(page: Path) -> None:
    result = run_page(page)

    assert result.error == "", f"{page.relative_to(ROOT)}\n{result.error}"
