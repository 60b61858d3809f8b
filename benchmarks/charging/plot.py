"""Lines on a page, as SVG: a panel for each scene, a line for each rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, MARGIN = 420, 260, 44
COLOURS = ("#9a9a9a", "#b5832a", "#c0504d", "#7a5ba6", "#3f8f5b", "#1f5fa8")
LOWEST = 0.6
"""Parts of the optimum below this are drawn on the axis."""

Panel = tuple[str, Mapping[str, Sequence[tuple[int, float]]]]


def draw(panels: Sequence[Panel]) -> str:
    """Two panels a row; the size of the connection to the right, the part of the optimum upwards."""
    rows = (len(panels) + 1) // 2
    body = [panel for number, one in enumerate(panels) for panel in _panel(one, number % 2 * WIDTH, number // 2 * HEIGHT)]
    size = f'width="{2 * WIDTH}" height="{rows * HEIGHT}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def _panel(panel: Panel, left: int, top: int) -> list[str]:
    title, lines = panel
    sizes = sorted({size for points in lines.values() for size, _ in points})
    first, last = sizes[0], max(sizes[-1], sizes[0] + 1)

    def x(size: float) -> float:
        return left + MARGIN + (size - first) / (last - first) * (WIDTH - 2 * MARGIN - 60)

    def y(part: float) -> float:
        return top + HEIGHT - MARGIN - (max(LOWEST, part) - LOWEST) / (1.02 - LOWEST) * (HEIGHT - 2 * MARGIN)

    found = [f'<text x="{left + MARGIN}" y="{top + 24}" font-weight="bold">{escape(title)}</text>']
    for tenth in range(6, 11):
        part = tenth / 10
        found.append(f'<line x1="{x(first)}" x2="{x(last)}" y1="{y(part):.1f}" y2="{y(part):.1f}" stroke="#e4e4e4"/>')
        found.append(f'<text x="{left + 8}" y="{y(part) + 4:.1f}">{part:.0%}</text>')
    found += [f'<text x="{x(size) - 6:.1f}" y="{top + HEIGHT - MARGIN + 16}">{size}</text>' for size in sizes]
    found.append(f'<text x="{x(last) + 14:.1f}" y="{top + HEIGHT - MARGIN + 16}">A</text>')
    for number, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x(size):.1f},{y(part):.1f}" for size, part in points)
        found.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        found.append(f'<text x="{x(last) + 8:.1f}" y="{top + MARGIN + 14 * number}" fill="{colour}">{escape(name)}</text>')
    return found
