"""Pictures of a campaign, as inline SVG. Written by hand, so that they need no library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

__all__ = ["kills_chart", "stack_chart"]

_WIDTH: Final = 640
_COLOURS: Final = ("#1565c0", "#b26a00", "#2e7d32", "#6a1b9a", "#546e7a", "#00838f", "#8d6e63")
_BAD: Final = "#b71c1c"


def kills_chart(moments: Sequence[float], progress: Sequence[float]) -> str:
    """Return a point for each kill: its moment in an undisturbed run's time, and the share of the work done by then."""
    left, top, width, height = 60, 10, _WIDTH - 80, 220
    parts = [_open(_WIDTH, height + 60)]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = left + share * width, top + (1 - share) * height
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + width}" y2="{y:.1f}" stroke="#e0e4e7"/>')
        parts.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{top + height}" stroke="#e0e4e7"/>')
        parts.append(_text(f"{share:.0%}", left - 6, y + 4, "end"))
        parts.append(_text(f"{share:.2g}", x, top + height + 16, "middle"))
    parts.append(
        _text("moment of the kill, 1 = length of an undisturbed run", left + width / 2, top + height + 38, "middle")
    )
    for moment, done in zip(moments, progress, strict=True):
        x, y = left + min(moment, 1) * width, top + (1 - done) * height
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{_COLOURS[0]}" fill-opacity="0.55"/>')
    return "".join([*parts, "</svg>"])


def stack_chart(counts: Mapping[str, float], bad: Sequence[str] = ()) -> str:
    """Return one bar that is divided by counts, with a legend; what is bad is red."""
    shown = [(name, count) for name, count in counts.items() if count or name in bad]
    total = sum(count for _, count in shown) or 1
    parts, x = [_open(_WIDTH, 44 + 20 * len(shown))], 0.0
    for number, (name, count) in enumerate(shown):
        colour = _BAD if name in bad else _COLOURS[number % len(_COLOURS)]
        width = _WIDTH * count / total
        parts.append(f'<rect x="{x:.1f}" y="0" width="{width:.1f}" height="28" fill="{colour}"/>')
        y = 48 + 20 * number
        parts.append(f'<rect x="0" y="{y - 10}" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(f"{name}: {count:g}", 20, y, "start"))
        x += width
    return "".join([*parts, "</svg>"])


def _open(width: int, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" font-family="system-ui, sans-serif" font-size="12" fill="#1c2429">'
    )


def _text(text: str, x: float, y: float, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
