"""Runs the Python blocks of Markdown pages, so that documentation cannot lie.

All blocks of a page share one namespace and run from top to bottom, `await` allowed at the top level (asyncio). A
page whose blocks define tests (`def test_...`) is run by pytest instead, as one test module. Tracebacks name the page
and its line.

    python -m eino_harness.docs README.md docs/*.md

In a page, before a fence:

- `<!-- skip: reason -->` leaves the next block out;
- `<!-- output -->` compares the next block, of any language, with what the Python block before it printed.

Each page runs in a process of its own with the network blocked.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import re
import subprocess
import sys
import tempfile
import traceback
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "DocsError", "PageResult", "find_blocks", "main", "run_blocks", "run_page"]

PAGE_TIMEOUT_S = 120.0
"""Real seconds that one page may take."""

_PYTHON = {"python", "py", "python3"}
_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*\{?\.?(?P<language>[\w+-]*)")
_COMMENT = re.compile(r"^\s*<!--\s*(?P<word>skip|output)\b\s*:?\s*(?P<reason>.*?)\s*-->\s*$")


class DocsError(Exception):
    """A page is wrong; the text begins with its path and line."""


@dataclass(frozen=True)
class Block:
    """One fenced block that is run or compared."""

    path: Path
    line: int
    """Line of the block's first line of content, from 1."""
    source: str
    is_output: bool = False
    """Whether it shows what the block before it prints."""

    @property
    def place(self) -> str:
        """`path:line`, as editors and terminals understand it."""
        return f"{self.path}:{self.line}"

    @property
    def padded(self) -> str:
        """The source, moved down to its line in the page, so that tracebacks show the page's line numbers."""
        return "\n" * (self.line - 1) + self.source

    @property
    def defines_tests(self) -> bool:
        """Whether pytest would collect something from it."""
        body = _parse(self).body
        functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        return any(isinstance(node, functions) and node.name.lower().startswith("test") for node in body)


@dataclass(frozen=True)
class PageResult:
    """How a page's own process ended."""

    path: Path
    blocks: int
    error: str
    """What the process wrote, if it failed; else empty."""


def find_blocks(path: Path) -> list[Block]:
    """Return the Python blocks of a page, and the output blocks that belong to them, in order.

    Raises:
        DocsError: If a fence is not closed, a skip has no reason, or an output block follows no Python block.
    """
    blocks: list[Block] = []
    order = ""
    lines = iter(enumerate(path.read_text(encoding="utf-8").splitlines(), start=1))
    for number, line in lines:
        if comment := _COMMENT.match(line):
            order = comment["word"]
            if order == "skip" and not comment["reason"]:
                raise DocsError(f"{path}:{number}: say why the block is skipped: <!-- skip: reason -->")
            continue
        if (fence := _FENCE.match(line)) is None:
            order = order if not line.strip() else ""
            continue
        source = _content(lines, fence, f"{path}:{number}")
        if order == "output":
            if not blocks or blocks[-1].is_output:
                raise DocsError(f"{path}:{number}: this output belongs to no Python block; move it below one")
            blocks.append(Block(path, number + 1, source, is_output=True))
        elif order != "skip" and fence["language"].lower() in _PYTHON:
            blocks.append(Block(path, number + 1, source))
        order = ""
    return blocks


def _content(lines: Iterator[tuple[int, str]], fence: re.Match[str], place: str) -> str:
    """Return the lines up to the closing fence, without the indentation of the opening one."""
    closing = re.compile(rf"^\s*{re.escape(fence['fence'][0])}{{{len(fence['fence'])},}}\s*$")
    content: list[str] = []
    for _, line in lines:
        if closing.match(line):
            return "\n".join(content) + "\n"
        content.append(line.removeprefix(fence["indent"]))
    raise DocsError(f"{place}: the fence is not closed")


def run_blocks(blocks: Sequence[Block]) -> None:
    """Run blocks in one namespace, as a program would: their `__name__` is `"__main__"`.

    Raises:
        DocsError: If a block fails or prints something else than its output block shows; the block's own error is the
            cause.
    """
    module = types.ModuleType("__main__")
    before = sys.modules["__main__"]
    sys.modules["__main__"] = module
    try:
        with asyncio.Runner() as runner:
            printed = ""
            for block in blocks:
                if block.is_output:
                    _compare(block, printed)
                else:
                    printed = _run_block(block, module, runner)
    finally:
        sys.modules["__main__"] = before


def _run_block(block: Block, module: types.ModuleType, runner: asyncio.Runner) -> str:
    """Run one block; return what it printed. Only a block that awaits runs inside the loop."""
    module.__file__ = str(block.path)
    code = compile(_parse(block), str(block.path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            result = eval(code, vars(module))  # noqa: S307 - running the page is the point
            if inspect.iscoroutine(result):
                runner.run(result)
    except (Exception, SystemExit) as error:
        line = _line_in_page(error, block)
        raise DocsError(f"{block.path}:{line}: {type(error).__name__}: {error}") from error
    return printed.getvalue()


def _parse(block: Block) -> ast.Module:
    try:
        tree = compile(block.padded, str(block.path), "exec", flags=ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError as error:
        raise DocsError(f"{block.path}:{error.lineno}: {error.msg}") from error
    assert isinstance(tree, ast.Module)  # noqa: S101 - "exec" gives a module
    return tree


def _line_in_page(error: BaseException, block: Block) -> int:
    """Return the last line of the page that the error passed through."""
    frames = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(block.path)]
    return (frames and frames[-1]) or block.line


def _compare(block: Block, printed: str) -> None:
    if printed.rstrip() != block.source.rstrip():
        raise DocsError(
            f"{block.place}: the page shows\n{block.source.rstrip()}\nbut its block prints\n{printed.rstrip()}"
        )


def run_page(path: Path, *, timeout_s: float = PAGE_TIMEOUT_S) -> PageResult:
    """Run a page in a process of its own and return how it ended.

    Raises:
        DocsError: If the page itself is malformed.
    """
    blocks = find_blocks(path)
    python = [block for block in blocks if not block.is_output]
    if not python:
        return PageResult(path, 0, "")
    if any(block.defines_tests for block in python):
        error = _run_as_tests(python, timeout_s)
    else:
        error = _run_process([sys.executable, "-m", "eino_harness.docs", "--here", str(path)], None, timeout_s)
    return PageResult(path, len(python), error)


def _run_as_tests(blocks: Sequence[Block], timeout_s: float) -> str:
    """Write the blocks into one test module, each on its own line of the page, and let pytest run it."""
    lines: list[str] = []
    for block in blocks:
        lines += [""] * (block.line - 1 - len(lines)) + block.source.splitlines()
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / f"test_{re.sub(r'[^a-zA-Z0-9]+', '_', blocks[0].path.stem)}.py"
        module.write_text("\n".join(lines) + "\n", encoding="utf-8")
        (Path(folder) / "pytest.ini").write_text(_PAGE_SETTINGS, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", module.name]
        output = _run_process(command, Path(folder), timeout_s)
    return output.replace(module.name, str(blocks[0].path))


_PAGE_SETTINGS = """[pytest]
anyio_mode = auto
eino_block_network = true
filterwarnings = error
"""


def _run_process(command: Sequence[str], folder: Path | None, timeout_s: float) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter
            command, cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not finished after {timeout_s:g} s"
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip() or f"exit code {done.returncode}"


def _run_here(path: Path) -> int:
    """Run a page in this process; on failure write where, and the page's own part of the traceback."""
    from eino_harness._network import NetworkGuard
    from eino_harness._network_policy import HostPolicy

    guard = NetworkGuard(HostPolicy())
    guard.install()
    try:
        run_blocks(find_blocks(path))
    except DocsError as error:
        cause = error.__cause__
        if cause is not None and cause.__traceback__ is not None:
            cause.__traceback__ = cause.__traceback__.tb_next  # the frame of the runner says nothing
            sys.stderr.write("".join(traceback.format_exception(cause)) + "\n")
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        guard.uninstall()
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pages named on the command line; return 0 if all are right, 1 if one is wrong, 2 if none was named."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["--here"]:
        return _run_here(Path(words[1]))
    if not words:
        sys.stderr.write("usage: python -m eino_harness.docs PAGE.md ...\n")
        return 2
    failed = 0
    for word in words:
        try:
            result = run_page(Path(word))
        except (DocsError, OSError) as error:
            result = PageResult(Path(word), 0, str(error))
        failed += bool(result.error)
        sys.stdout.write(f"{word}: {result.error or f'{result.blocks} blocks ran'}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
