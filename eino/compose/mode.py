"""Value runs and stream runs: the same engine, with other ways to share, merge and drop what goes along the edges."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Protocol

from eino.compose.binding import at_graph, converted
from eino.compose.extra import keep
from eino.compose.input_maker import InputMaker
from eino.compose.plan import Edge, Plan, PlannedBranch
from eino.compose.stage import concat_stream, refuse_awaitable
from eino.compose.stream_merge import merged_stream
from eino.schema.stream import StreamReader

__all__ = ["STREAMS", "VALUES", "Mode"]


class Mode(Protocol):
    """How values, or streams, are handled between nodes."""

    on_stream: bool

    async def decide(self, branch: PlannedBranch, value: Any, plan: Plan) -> tuple[Any, Any]:
        """Return what the branch's condition answers, and the value to go on with."""
        ...

    def share(self, value: Any, count: int) -> list[Any]:
        """Return `value` for each of `count` receivers."""
        ...

    def pass_on(self, edge: Edge, value: Any) -> Any:
        """Return what arrives at the other end of an edge."""
        ...

    def merge(self, plan: Plan, target: int, arrived: Sequence[tuple[int, Any]]) -> Any:
        """Return one input for `target` made of the values that arrived, given with their sources."""
        ...

    def make(self, plan: Plan, target: int, maker: InputMaker, arrived: Sequence[tuple[int, Any]]) -> Any:
        """Return the input that `maker` makes of the values that arrived."""
        ...

    def empty(self, plan: Plan, target: int) -> Any:
        """Return the input of a node that nothing has a value for."""
        ...

    async def drop(self, value: Any) -> None:
        """Let go of a value that nobody will get."""
        ...


class _Values:
    on_stream = False

    async def decide(self, branch: PlannedBranch, value: Any, plan: Plan) -> tuple[Any, Any]:
        if branch.check is not None:
            branch.check(value)
        seen = StreamReader.from_iterable((value,)) if branch.branch.takes_stream else value
        answer = branch.condition(seen)
        if branch.is_async:
            answer = await answer
        elif hasattr(type(answer), "__await__"):
            refuse_awaitable(answer)
        return answer, value

    def share(self, value: Any, count: int) -> list[Any]:
        return [value] * count

    def pass_on(self, edge: Edge, value: Any) -> Any:
        return value if edge.convert is None else edge.convert(value)

    def merge(self, plan: Plan, target: int, arrived: Sequence[tuple[int, Any]]) -> Any:
        if len(arrived) == 1:
            return arrived[0][1]
        return plan.merge.merge([value for _, value in arrived])

    def make(self, plan: Plan, target: int, maker: InputMaker, arrived: Sequence[tuple[int, Any]]) -> Any:
        return maker.of_values(arrived)

    def empty(self, plan: Plan, target: int) -> Any:
        return plan.empty[target]

    async def drop(self, value: Any) -> None:
        pass


class _Streams:
    on_stream = True

    async def decide(self, branch: PlannedBranch, value: Any, plan: Plan) -> tuple[Any, Any]:
        value, probe = map(keep, value.copy(2))
        if branch.check is not None:
            probe = converted(probe, branch.check)
        try:
            seen: Any = probe if branch.branch.takes_stream else await concat_stream(probe, plan.concat)
            answer = branch.condition(seen)
            if branch.is_async:
                answer = await answer
            elif hasattr(type(answer), "__await__"):
                refuse_awaitable(answer)
        finally:
            await probe.aclose()
        return answer, value

    def share(self, value: Any, count: int) -> list[Any]:
        return [keep(copy) for copy in value.copy(count)] if count > 1 else [value] * count

    def pass_on(self, edge: Edge, value: Any) -> Any:
        return value if edge.convert_stream is None else edge.convert_stream(value)

    def merge(self, plan: Plan, target: int, arrived: Sequence[tuple[int, Any]]) -> Any:
        named = target in plan.named_fan_in
        if len(arrived) == 1 and not named:
            return arrived[0][1]
        readers = {plan.key_of(source): reader for source, reader in arrived}
        return keep(merged_stream(readers, named=named, registry=plan.merge, doing=plan.making_input(target)))

    def make(self, plan: Plan, target: int, maker: InputMaker, arrived: Sequence[tuple[int, Any]]) -> Any:
        bind = functools.partial(at_graph, doing=plan.making_input(target))
        return keep(maker.of_streams(arrived, bind, functools.partial(self.merge, plan, target)))

    def empty(self, plan: Plan, target: int) -> Any:
        return StreamReader.from_iterable((plan.empty[target],))

    async def drop(self, value: Any) -> None:
        await value.aclose()


VALUES: Mode = _Values()
STREAMS: Mode = _Streams()
