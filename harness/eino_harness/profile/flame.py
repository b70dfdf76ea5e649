"""The flame graph as inline SVG: callers above, width is time, nodes in blue."""

from __future__ import annotations

from html import escape

from eino_harness.profile.sampling import OUTSIDE, Flame

__all__ = ["flame_svg"]

WIDTH = 1120
ROW = 18
_LEAST = 0.002  # share of the whole below which a frame is not drawn
_CHAR = 6.3  # width of a character at 11 px, about
_DEEPEST = 60


def flame_svg(root: Flame) -> str:
    """Return an `<svg>`; empty when nothing was sampled. Point at a frame to see all of its name and time."""
    if root.seconds <= 0:
        return ""
    parts: list[str] = []
    rows = 1 + _draw(root, root, 0.0, 0, parts)
    height = rows * ROW + 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="11" role="img">{"".join(parts)}</svg>'
    )


def _draw(flame: Flame, root: Flame, left: float, depth: int, parts: list[str]) -> int:
    """Draw a frame and what is below it; return the deepest row that was used."""
    width = WIDTH * flame.seconds / root.seconds
    text = f"{flame.name}: {1000 * flame.seconds:,.1f} ms, {flame.seconds / root.seconds:.1%}"
    room = int((width - 6) / _CHAR)
    label = flame.name if len(flame.name) <= room else flame.name[: max(0, room - 1)] + "…"
    shown = (
        f'<text x="{left + 3:.1f}" y="{depth * ROW + 13}" fill="#1c2429">{escape(label)}</text>' if room >= 3 else ""
    )
    parts.append(
        f'<g><title>{escape(text)}</title><rect x="{left:.1f}" y="{depth * ROW + 1}" '
        f'width="{max(width - 0.5, 0.5):.1f}" height="{ROW - 2}" rx="1" fill="{_colour(flame)}"/>{shown}</g>'
    )
    deepest = depth
    for child in sorted(flame.children.values(), key=lambda each: (each.name == OUTSIDE, -each.seconds)):
        if child.seconds / root.seconds >= _LEAST and depth < _DEEPEST:
            deepest = max(deepest, _draw(child, root, left, depth + 1, parts))
            left += WIDTH * child.seconds / root.seconds
    return deepest


def _colour(flame: Flame) -> str:
    if flame.is_node:
        return "#90caf9"
    return "#cfd8dc" if flame.name == OUTSIDE else "#ffe0b2"
