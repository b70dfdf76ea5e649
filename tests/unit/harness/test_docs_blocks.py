"""Finding the Python blocks of a page, and running them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from eino_harness.docs import DocsError, find_blocks, main, run_blocks, run_page


def page(folder: Path, text: str, name: str = "page.md") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def run(folder: Path, text: str) -> None:
    run_blocks(find_blocks(page(folder, text)))


def test_blocks_are_found_with_their_lines(tmp_path: Path) -> None:
    blocks = find_blocks(
        page(
            tmp_path,
            "# Title\n\n```python\nx = 1\n```\n\n```bash\nls\n```\n\n1. item\n\n    ~~~~py title='a'\n    y = 2\n    ~~~\n    ~~~~\n"
            "\n```{.python3}\nz = 3\n```\n",
        )
    )

    assert [(block.line, block.source) for block in blocks] == [(4, "x = 1\n"), (14, "y = 2\n~~~\n"), (19, "z = 3\n")]
    assert blocks[0].place == f"{tmp_path / 'page.md'}:4"


def test_a_fence_inside_a_longer_fence_is_text(tmp_path: Path) -> None:
    assert find_blocks(page(tmp_path, "````text\n```python\nraise ValueError\n```\n````\n")) == []


def test_a_block_may_be_left_out_with_a_reason(tmp_path: Path) -> None:
    text = "<!-- skip: needs a key -->\n\n```python\nraise ValueError\n```\n```python\nx = 1\n```\n"

    assert [block.source for block in find_blocks(page(tmp_path, text))] == ["x = 1\n"]


def test_text_between_ends_the_order_to_skip(tmp_path: Path) -> None:
    text = "<!-- skip: needs a key -->\nSome words.\n```python\nx = 1\n```\n"

    assert len(find_blocks(page(tmp_path, text))) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("\n```python\nx = 1\n", ":2: the fence is not closed", id="open fence"),
        pytest.param("<!-- skip -->\n```python\n```\n", ":1: say why the block is skipped", id="no reason"),
        pytest.param(
            "<!-- output -->\n```text\n1\n```\n", ":2: this output belongs to no Python block", id="output first"
        ),
        pytest.param(
            "```python\n```\n<!-- output -->\n```\n```\n<!-- output -->\n```\n```\n",
            ":7: this output belongs",
            id="two outputs",
        ),
    ],
)
def test_a_malformed_page_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DocsError, match=message):
        find_blocks(page(tmp_path, text))


def test_blocks_share_a_namespace_and_one_event_loop(tmp_path: Path) -> None:
    run(
        tmp_path,
        "```python\nimport asyncio\nqueue = asyncio.Queue()\nawait queue.put(7)\nloop = asyncio.get_running_loop()\n```\n"
        "```python\nassert await queue.get() == 7\nassert asyncio.get_running_loop() is loop\n```\n",
    )


def test_a_block_without_await_runs_outside_the_loop(tmp_path: Path) -> None:
    """So that pages can show `asyncio.run` and the synchronous door."""
    run(tmp_path, "```python\nimport asyncio\nasync def f(): return 1\nassert asyncio.run(f()) == 1\n```\n")
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_blocks_run_as_the_main_program(tmp_path: Path) -> None:
    """String annotations and dataclasses look their module up by name."""
    before = sys.modules["__main__"]
    run(
        tmp_path,
        "```python\nimport typing\nclass A:\n    x: 'A'\nassert typing.get_type_hints(A) == {'x': A}\n"
        "assert __name__ == '__main__'\nassert __file__.endswith('page.md')\n```\n",
    )

    assert sys.modules["__main__"] is before


def test_output_is_compared(tmp_path: Path) -> None:
    good = "```python\nprint('one')\nprint('two')\n```\n\n<!-- output -->\n```text\none\ntwo\n```\n"
    run(tmp_path, good)
    with pytest.raises(DocsError, match=r"page.md:8: the page shows\none\n2\nbut its block prints\none\ntwo"):
        run(tmp_path, good.replace("one\ntwo", "one\n2"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("x = 1\n\nx.nothing", ":6: AttributeError: 'int' object", id="error"),
        pytest.param("def f():\n    raise KeyError('k')\n\nf()", ":5: KeyError: 'k'", id="in a function of the page"),
        pytest.param("import asyncio\nawait asyncio.sleep(0)\n1 / 0", ":6: ZeroDivisionError", id="after an await"),
        pytest.param("x = (1", ":4: '\\(' was never closed", id="syntax"),
        pytest.param("raise SystemExit(3)", ":4: SystemExit: 3", id="exit"),
        pytest.param("import json\njson.loads('{')", ":5: JSONDecodeError", id="in a library"),
    ],
)
def test_a_failure_names_the_page_and_its_line(tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(DocsError, match=f"page.md{message}"):
        run(tmp_path, f"# Title\n\n```python\n{source}\n```\n")


def test_a_page_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    result = run_page(page(tmp_path, "```python\nimport os\nos.environ['EINO_DOCS_TEST'] = 'left behind'\n```\n"))

    assert (result.blocks, result.error) == (1, "")
    assert run_page(page(tmp_path, "no code")).blocks == 0


def test_a_page_cannot_reach_the_network(tmp_path: Path) -> None:
    result = run_page(
        page(tmp_path, "```python\nimport socket\n\nsocket.create_connection(('203.0.113.7', 80))\n```\n")
    )

    assert "page.md:4: NetworkBlockedError: the network is blocked" in result.error
    assert 'page.md", line 4' in result.error  # the traceback shows the page


def test_a_page_that_never_ends_is_stopped(tmp_path: Path) -> None:
    result = run_page(page(tmp_path, "```python\nimport threading\nthreading.Event().wait()\n```\n"), timeout_s=1.0)

    assert result.error == "not finished after 1 s"


def test_pages_that_define_tests_are_run_by_pytest(tmp_path: Path) -> None:
    text = "```python\nimport anyio\n```\n\n```python\nasync def test_clock(virtual_clock):\n    await anyio.sleep(60)\n{}\n```\n"
    good = run_page(page(tmp_path, text.format("    assert virtual_clock.now() == 60")))
    bad = run_page(page(tmp_path, text.format("    assert virtual_clock.now() == 61")))

    assert (good.blocks, good.error) == (2, "")
    assert f"{tmp_path / 'page.md'}:8: AssertionError" in bad.error


def test_the_command_runs_pages_and_says_which_are_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = page(tmp_path, "```python\nx = 1\n```\n", "good.md")
    bad = page(tmp_path, "```python\n1 / 0\n```\n", "bad.md")
    broken = page(tmp_path, "```python\n", "broken.md")

    assert main([str(good)]) == 0
    assert capsys.readouterr().out == f"{good}: 1 blocks ran\n"
    assert main([str(good), str(bad), str(broken), str(tmp_path / "missing.md")]) == 1
    shown = capsys.readouterr().out
    assert f"{bad}:2: ZeroDivisionError" in shown
    assert f"{broken}:1: the fence is not closed" in shown
    assert "missing.md" in shown
    assert main([]) == 2
    assert "usage: python -m eino_harness.docs" in capsys.readouterr().err


def test_one_page_here_for_the_process_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--here", str(page(tmp_path, "```python\nx = 1\n```\n"))]) == 0
    assert main(["--here", str(page(tmp_path, "```python\n1 / 0\n```\n<!-- output -->\n```\n```\n"))]) == 1
    shown = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in shown
    assert "docs.py" not in shown
    assert main(["--here", str(page(tmp_path, "```python\n```\n<!-- output -->\n```\n1\n```\n"))]) == 1
    assert "the page shows" in capsys.readouterr().err
