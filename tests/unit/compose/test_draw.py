"""Pictures: that every node and arrow is in them, and that no name breaks them."""

from __future__ import annotations

import re
import sys
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from eino import END, START, Branch, Chain, ChainBranch, Graph, MissingExtraError, Parallel, Runnable
from eino.compose.draw import to_dot, to_mermaid
from eino.compose.draw_svg import to_svg
from eino.compose.introspect import EdgeInfo, GraphInfo, NodeInfo

ODD = 'a "b" <i>`c`<i> #1, $x^2$ \\ & é'
SVG = "{http://www.w3.org/2000/svg}"


def same(text: str) -> str:
    return text


def to_end(text: str) -> str:
    return END


def loops() -> Runnable[str, str]:
    """A node that may choose itself, one that goes there and back, and the way out past both."""
    graph = Graph[str, str]().add_lambda_node("model", same).add_lambda_node("tools", same)
    graph.add_edge(START, "model").add_branch("model", Branch(to_end, ends=["tools", "model", END]))
    return graph.add_edge("tools", "model").compile(name="loops")


def nested() -> Runnable[str, Any]:
    inner = Chain[str, str]().append_lambda(same, key="deep")
    middle = Chain[str, Any]().append_parallel(Parallel().add_graph("a", inner, key="sub").add_lambda("b", same))
    return Chain[str, Any]().append_lambda(same).append_graph(middle, key="outer").compile()


def odd() -> Runnable[str, str]:
    return Chain[str, str]().append_lambda(same, key=ODD).compile(name=ODD)


def info_of(*edges: EdgeInfo, nodes: tuple[str, ...] = ("a", "b")) -> GraphInfo:
    described = tuple(NodeInfo(key, key, "Lambda", "", "str", "str", None, None) for key in nodes)
    return GraphInfo("n", "Workflow", "all", 10, "str", "str", described, edges, ())


def texts(svg: str) -> list[str]:
    return ["".join(each.itertext()) for each in ET.fromstring(svg).iter(f"{SVG}text")]


def arrows(svg: str) -> list[tuple[list[tuple[float, float]], str]]:
    """Return the points and the style of each line that is no frame: lines are not filled."""
    found = []
    for path in ET.fromstring(svg).iter(f"{SVG}path"):
        style = path.get("style", "")
        if style.startswith("fill: none") and "stroke: #455a64" in style:
            numbers = [float(each) for each in re.findall(r"-?\d+(?:\.\d+)?", path.get("d", ""))]
            found.append((list(zip(numbers[::2], numbers[1::2], strict=True)), style))
    return found


def test_mermaid_has_every_node_edge_and_branch() -> None:
    assert loops().to_mermaid().splitlines() == [
        "flowchart TD",
        '    n0(["start"])',
        '    n1["model (Lambda)"]',
        '    n2["tools (Lambda)"]',
        '    n3(["end"])',
        "    n0 --> n1",
        "    n2 --> n1",
        '    n1 -. "to_end" .-> n2',
        '    n1 -. "to_end" .-> n1',
        '    n1 -. "to_end" .-> n3',
    ]


def test_mermaid_puts_graphs_into_subgraphs_whose_names_do_not_meet() -> None:
    text = nested().to_mermaid()

    assert text.count("subgraph ") == text.count("\n    end\n") == 2
    declared = re.findall(r"^    (?:subgraph )?(n[\d_n]+)[(\[]", text, re.MULTILINE)
    assert len(declared) == len(set(declared)) == 11
    assert set(re.findall(r"\bn[\d_n]*\d\b", text)) <= set(declared)


def test_mermaid_escapes_what_has_a_meaning_in_it() -> None:
    (line,) = [line for line in odd().to_mermaid().splitlines() if "n1[" in line]

    assert line.strip() == ('n1["a #quot;b#quot; #lt;i#gt;#96;c#96;#lt;i#gt; #35;1, $x^2$ \\ #amp; é (Lambda)"]')


@pytest.mark.parametrize("name", ["two\nlines", "tab\tand\r\nreturn"])
def test_text_pictures_keep_one_line_a_node(name: str) -> None:
    info = info_of(EdgeInfo(START, name, "both"), EdgeInfo(name, END, "both"), nodes=(name,))

    assert len(to_mermaid(info).splitlines()) == 1 + 3 + 2
    assert len(to_dot(info).splitlines()) == 2 + 3 + 2 + 1


def test_data_only_edges_look_different_everywhere() -> None:
    info = info_of(
        EdgeInfo(START, "a", "both"),
        EdgeInfo("a", "b", "control"),
        EdgeInfo(START, "b", "data"),
        EdgeInfo("b", END, "both"),
    )

    assert "n0 -.-> n2" in to_mermaid(info)
    assert "n1 --> n2" in to_mermaid(info)
    assert '"start" -> "b" [style=dashed];' in to_dot(info)
    assert sum("stroke-dasharray" in style for _, style in arrows(to_svg(info))) == 2, "it passes a layer: two lines"


def test_dot_joins_graphs_at_their_start_and_end() -> None:
    text = nested().to_dot()

    assert '"node_0" -> "outer/start";' in text
    assert '"outer/end" -> "end";' in text
    assert '"outer/sub/start" -> "outer/sub/deep";' in text
    assert text.count('subgraph "cluster ') == 2
    assert text.count("{") == text.count("}") == 3


def test_dot_escapes_quotes_and_backslashes() -> None:
    quoted = ODD.replace("\\", "\\\\").replace('"', '\\"')

    assert odd().to_dot().startswith(f'digraph "{quoted}" {{')
    assert f'"{quoted}" [label="{quoted} (Lambda)"];' in odd().to_dot()


def test_the_svg_shows_every_node_and_says_names_as_they_are() -> None:
    assert sorted(texts(loops().to_svg())) == ["end", "model (Lambda)", "start", "tools (Lambda)"]
    assert f"{ODD} (Lambda)" in texts(odd().to_svg())


def test_the_svg_opens_graphs_that_are_nodes_below() -> None:
    shown = texts(nested().to_svg())

    assert {"outer (Chain)", "outer", "sub (Chain)", "outer/sub", "deep (Lambda)"} <= set(shown)
    assert shown.count("start") == shown.count("end") == 3


def test_a_loop_and_both_of_two_ways_are_visible_in_the_svg() -> None:
    lines = [points for points, _ in arrows(loops().to_svg())]
    long = [points for points in lines if extent(points) > 10]  # arrow heads are smaller

    # start -> model, tools -> model, model -> tools, model -> model, model -> end
    assert len(long) == 5
    assert len({tuple(points) for points in long}) == len(long), "no line lies on another"


def extent(points: list[tuple[float, float]]) -> float:
    across, down = ([point[axis] for point in points] for axis in (0, 1))
    return max(max(across) - min(across), max(down) - min(down))


def test_arrows_end_at_boxes_and_do_not_cross_them() -> None:
    """A long arrow runs around what stands between its ends."""
    graph = Graph[str, Any]()
    before = START
    for key in "abcd":
        graph.add_lambda_node(key, same, output_key=key, **({} if before == START else {"input_key": before}))
        graph.add_edge(before, key)
        before = key
    graph.add_edge("d", END)
    graph.add_branch("a", Branch(lambda value: END, ends=[END]))
    svg = graph.compile().to_svg()
    places = {
        "".join(each.itertext()): (float(each.get("x", 0)), float(each.get("y", 0)))
        for each in ET.fromstring(svg).iter(f"{SVG}text")
        if each.get("x")
    }
    middle = [places[f"{key} (Lambda)"] for key in "bcd"]
    dotted = [points for points, style in arrows(svg) if "stroke-dasharray" in style]

    assert dotted
    for (left, top), (right, bottom) in ((line[0], line[-1]) for line in dotted):
        for x, y in middle:
            if min(top, bottom) < y < max(top, bottom):
                crossing = left + (right - left) * (y - top) / (bottom - top)
                assert abs(crossing - x) > 40, "the line passes beside the box"


def test_the_same_graph_gives_the_same_picture() -> None:
    assert loops().to_svg() == loops().to_svg()
    assert loops().to_svg().startswith("<svg")


def test_jupyter_shows_the_picture() -> None:
    assert loops()._repr_svg_() == loops().to_svg()


@pytest.mark.parametrize("missing", ["igraph", "matplotlib"])
def test_without_the_extra_the_error_names_it(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(MissingExtraError, match=r'pip install "eino\[draw\]"'):
        loops().to_svg()
    assert loops()._repr_svg_() is None
    assert loops().to_mermaid().startswith("flowchart")


def test_branches_are_drawn_to_nodes_and_not_to_names() -> None:
    branch = ChainBranch(same).add_lambda("x", same, key="left").add_lambda("y", same, key="right")
    runnable = Chain[str, str]().append_branch(branch).compile()

    assert '"start" -> "left" [style=dotted, label="same"];' in runnable.to_dot()
    assert 'n0 -. "same" .-> n2' in runnable.to_mermaid()
    assert sum("stroke-dasharray" in style for _, style in arrows(runnable.to_svg())) == 2
