"""What filling a prompt and calling a tool cost, beside hand-written code that does the same.

Both happen once for each model call, which takes milliseconds at the least: a few microseconds are fine.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from eino import ChatTemplate, Message, messages_placeholder, system_message, tool, user_message

VARIABLES: dict[str, object] = {
    "role": "a poet",
    "question": "Why is the sky blue?",
    "history": [user_message("Hello"), Message(role="assistant", content="Hi")],
    "documents": [{"title": f"Title {number}", "text": "Text. " * 20} for number in range(10)],
}
SOURCES: dict[Literal["fstring", "jinja2", "go"], tuple[str, str]] = {
    "fstring": ("You are {role}.", "Answer: {question}"),
    "jinja2": ("You are {{ role }}.", "Answer: {{ question }}"),
    "go": ("You are {{.role}}.", "Answer: {{.question}}"),
}
LOOPS: dict[Literal["jinja2", "go"], str] = {
    "jinja2": "{% for d in documents %}[{{ loop.index0 }}] {{ d.title }}: {{ d.text }}\n{% endfor %}",
    "go": "{{range $i, $d := .documents}}[{{$i}}] {{$d.title}}: {{$d.text}}\n{{end}}",
}


def by_hand(variables: dict[str, Any]) -> list[Message]:
    """The floor of a prompt: f-strings and two messages."""
    return [
        Message(role="system", content=f"You are {variables['role']}."),
        *variables["history"],
        Message(role="user", content=f"Answer: {variables['question']}"),
    ]


def loop_by_hand(variables: dict[str, Any]) -> list[Message]:
    """The floor of a loop: one join."""
    lines = [f"[{at}] {each['title']}: {each['text']}\n" for at, each in enumerate(variables["documents"])]
    return [Message(role="user", content="".join(lines))]


@pytest.mark.workload("P1", "fill a prompt of two messages and a history")
@pytest.mark.parametrize("syntax", ["fstring", "jinja2", "go"])
def test_t1_prompt(abenchmark: Any, syntax: Literal["fstring", "jinja2", "go"]) -> None:
    """What does a prompt cost that is filled from two variables and a history?

    Timed: one `format`. Not timed: parsing the template.
    Expected: a few times the f-strings; Jinja2 sets up a context for each text and is the slowest.
    """
    system, user = SOURCES[syntax]
    template = ChatTemplate.from_messages(
        system_message(system), messages_placeholder("history"), user_message(user), format=syntax
    )

    done = abenchmark.compare(subject=lambda: template.format(VARIABLES), floor=lambda: by_hand(VARIABLES))

    assert done.subject == done.floor


@pytest.mark.workload("P2", "fill a prompt with a loop over ten documents")
@pytest.mark.parametrize("syntax", ["jinja2", "go"])
def test_t2_loop(abenchmark: Any, syntax: Literal["jinja2", "go"]) -> None:
    """What does a turn of a loop cost, with three fields in it?

    Timed: one `format`. Not timed: parsing the template.
    Expected: linear in the documents; Go templates are interpreted and cost more a turn than Jinja2's compiled ones.
    """
    template = ChatTemplate.from_messages(user_message(LOOPS[syntax]), format=syntax)

    done = abenchmark.compare(subject=lambda: template.format(VARIABLES), floor=lambda: loop_by_hand(VARIABLES))

    assert done.subject == done.floor


@tool
async def get_weather(city: str, unit: Literal["C", "F"] = "C") -> str:
    """Current weather."""
    return f"20 {unit} in {city}"


async def weather_by_hand(arguments: str) -> str:
    """The floor of a tool call: decode, check by hand, call."""
    values = json.loads(arguments)
    if not isinstance(values.get("city"), str) or values.get("unit", "C") not in ("C", "F"):
        raise ValueError(arguments)
    return await get_weather(**values)


@pytest.mark.workload("P3", "call a tool with two checked arguments")
def test_t3_tool_call(abenchmark: Any) -> None:
    """What does a tool cost on top of its function?

    Timed: one `run` with valid JSON. Not timed: building the validator.
    Expected: about twice the hand-written check.
    """
    arguments = '{"city": "Oslo", "unit": "F"}'

    done = abenchmark.compare(subject=lambda: get_weather.run(arguments), floor=lambda: weather_by_hand(arguments))

    assert done.subject == done.floor
