"""Graphs as text that other tools draw: Mermaid and DOT."""

from __future__ import annotations

from eino.compose.draw_label import node_label, short
from eino.compose.introspect import GraphInfo
from eino.compose.names import END, START

__all__ = ["to_dot", "to_mermaid"]


def to_mermaid(info: GraphInfo) -> str:
    """Return the graph as a Mermaid flowchart; graphs inside graphs become subgraphs."""
    lines = ["flowchart TD"]
    _mermaid_graph(info, "", lines)
    return "\n".join(lines) + "\n"


def _mermaid_graph(info: GraphInfo, prefix: str, lines: list[str]) -> None:
    names = {key: f"{prefix}n{index}" for index, key in enumerate(info.keys())}
    lines.append(f'    {names[START]}(["start"])')
    for node in info.nodes:
        if node.graph is None:
            lines.append(f'    {names[node.key]}["{_quoted(node_label(node))}"]')
        else:
            lines.append(f'    subgraph {names[node.key]}["{_quoted(node_label(node))}"]')
            _mermaid_graph(node.graph, f"{names[node.key]}_", lines)
            lines.append("    end")
    lines.append(f'    {names[END]}(["end"])')
    for edge in info.edges:
        arrow = "-->" if edge.kind != "data" else "-.->"
        lines.append(f"    {names[edge.source]} {arrow} {names[edge.target]}")
    for branch in info.branches:
        text = _quoted(short(branch.condition))
        lines.extend(f'    {names[branch.source]} -. "{text}" .-> {names[end]}' for end in branch.ends)


def _quoted(text: str) -> str:
    """Return text as Mermaid shows it inside quotes: its entities, no end of line, no markup."""
    for character, entity in _ENTITIES.items():
        text = text.replace(character, entity)
    return " ".join(text.split())


# The hash first: it begins the others. A backtick would start Markdown, angle brackets HTML.
_ENTITIES = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;", "&": "#amp;"}


def to_dot(info: GraphInfo) -> str:
    """Return the graph in Graphviz' DOT language; graphs inside graphs become clusters."""
    lines = [f"digraph {_dot(info.name or info.kind)} {{", "    rankdir=TB; node [shape=box, style=rounded];"]
    _dot_graph(info, "", lines)
    return "\n".join((*lines, "}")) + "\n"


def _dot_graph(info: GraphInfo, prefix: str, lines: list[str]) -> None:
    lines.extend(f"    {_dot(prefix + key)} [label={_dot(key)}, shape=ellipse];" for key in (START, END))
    for node in info.nodes:
        if node.graph is None:
            lines.append(f"    {_dot(prefix + node.key)} [label={_dot(node_label(node))}];")
        else:
            lines.append(f"    subgraph {_dot(f'cluster {prefix}{node.key}')} {{ label={_dot(node_label(node))};")
            _dot_graph(node.graph, f"{prefix}{node.key}/", lines)
            lines.append("    }")
    inner = {node.key: node.graph for node in info.nodes if node.graph is not None}

    def at(key: str, *, leaving: bool) -> str:
        return _dot(prefix + (f"{key}/{END if leaving else START}" if key in inner else key))

    for edge in info.edges:
        style = " [style=dashed]" if edge.kind == "data" else ""
        lines.append(f"    {at(edge.source, leaving=True)} -> {at(edge.target, leaving=False)}{style};")
    for branch in info.branches:
        label = _dot(short(branch.condition))
        lines.extend(
            f"    {at(branch.source, leaving=True)} -> {at(end, leaving=False)} [style=dotted, label={label}];"
            for end in branch.ends
        )


def _dot(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    escaped = "\\n".join(escaped.splitlines()) or escaped
    return f'"{escaped}"'
