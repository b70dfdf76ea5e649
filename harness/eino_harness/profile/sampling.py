"""The sampling profiler (pyinstrument), and its samples as a tree in which every node stands below its graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eino_harness.profile.frames import PREFIX

if TYPE_CHECKING:
    from pyinstrument import Profiler

__all__ = ["OUTSIDE", "Flame", "Sampler", "flame_of"]

OUTSIDE = "outside of nodes"
"""Name of the branch for the samples in which no node was on the stack: the framework, the event loop, waiting."""

INTERVAL_S = 0.001


class Sampler:
    """Samples the thread that starts it. Start it inside the event loop: outside, waiting counts for the selector."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        from pyinstrument import Profiler

        # Tasks are told apart by our frames; `async_mode` would hide what runs in others.
        self.profiler: Profiler = Profiler(interval=interval_s, async_mode="disabled")

    def start(self) -> None:
        """Begin."""
        self.profiler.start(target_description="graphs, one frame a node")

    def stop(self) -> None:
        """End; nothing if it has ended."""
        if self.profiler.is_running:
            self.profiler.stop()


@dataclass(slots=True)
class Flame:
    """Samples that have this function on the stack, below that of the parent."""

    name: str
    seconds: float = 0.0
    is_node: bool = False
    children: dict[str, Flame] = field(default_factory=dict)

    def child(self, name: str, *, is_node: bool = False) -> Flame:
        """Return the child of that name, made if there is none."""
        found = self.children.get(name)
        if found is None:
            found = self.children[name] = Flame(name, is_node=is_node)
        return found

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Flame]]:
        """Yield this and all below with their depth."""
        yield depth, self
        for child in self.children.values():
            yield from child.walk(depth + 1)


def flame_of(profiler: Any, title: str) -> Flame:
    """Return the samples as a tree: nodes below the graphs that they are in, whatever task they ran in.

    On the stack of a task stands no node of another one, so the nesting is that of the paths in the frames' names.
    """
    root = Flame(title)
    session = profiler.last_session
    top = session.root_frame() if session is not None else None
    if top is None:
        return root
    _add(top, root, root.child(OUTSIDE))
    _settle(root)
    return root


def _add(frame: Any, root: Flame, here: Flame) -> None:
    """Add a frame of pyinstrument and what is below it; a node's goes to its place in the tree."""
    name = frame.function
    if name.startswith(PREFIX):
        place = root
        for key in name.removeprefix(PREFIX).split("/"):
            place = place.child(key, is_node=True)
        place.seconds += _own(frame)
    elif frame.identifier.startswith("["):  # [self] and the like: time of the parent itself
        here.seconds += frame.time
        return
    else:
        place = here.child(f"{name} {frame.file_path_short or ''}".strip())
        place.seconds += _own(frame)
    for child in frame.children:
        _add(child, root, place)


def _own(frame: Any) -> float:
    return float(frame.time - sum(child.time for child in frame.children))


def _settle(flame: Flame) -> float:
    """Add to the own time of each, which it holds so far, the time of what is below it."""
    flame.seconds += sum(_settle(child) for child in flame.children.values())
    return flame.seconds
