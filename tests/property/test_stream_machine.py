"""Pipes, copies, maps, merges and closing in random order, against a model that is obvious.

The model knows what may come next from a reader, never when a task runs: it looks at a result and says whether that
result was allowed, and learns the order in which a merge delivered.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eino.errors import EndOfStream, StreamClosedError, StreamInUseError
from eino.schema import SourceEnded, StreamReader, StreamWriter, merge, merge_named, pipe
from eino_fixtures.stream_strategies import ScriptedError

WAITS = "waits"
END = "end"
TURNS = 60
"""Turns of the loop after which everything that can happen has happened."""


class Model:
    """What a reader may deliver next."""

    def options(self) -> list[Any]:
        """Return what may come now: elements, errors, `END` or `WAITS`."""
        raise NotImplementedError

    def accept(self, result: Any) -> None:
        """Take note of what came, which was one of the options."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


@dataclass(eq=False)
class PipeModel(Model):
    items: deque[Any] = field(default_factory=deque)
    ended: bool = False
    closed: bool = False

    def options(self) -> list[Any]:
        if self.items:
            return [self.items[0]]
        return [END] if self.ended else [WAITS]

    def accept(self, result: Any) -> None:
        if result not in (END, WAITS):
            assert self.items.popleft() == result

    def close(self) -> None:
        self.closed = True


@dataclass(eq=False)
class MapModel(Model):
    source: Model

    @staticmethod
    def mapped(item: Any) -> Any:
        return ("mapped", item) if isinstance(item, tuple) else item

    def options(self) -> list[Any]:
        return [self.mapped(item) for item in self.source.options()]

    def accept(self, result: Any) -> None:
        unmapped = result[1] if isinstance(result, tuple) and result[0] == "mapped" else result
        self.source.accept(unmapped)

    def close(self) -> None:
        self.source.close()


@dataclass(eq=False)
class Shared:
    source: Model
    history: list[Any] = field(default_factory=list)
    open: int = 0


@dataclass(eq=False)
class CopyModel(Model):
    shared: Shared
    position: int = 0

    def options(self) -> list[Any]:
        if self.position < len(self.shared.history):
            return [self.shared.history[self.position]]
        return self.shared.source.options()

    def accept(self, result: Any) -> None:
        if result in (END, WAITS):
            return
        if self.position == len(self.shared.history):
            self.shared.source.accept(result)
            self.shared.history.append(result)
        self.position += 1

    def close(self) -> None:
        self.shared.open -= 1
        if self.shared.open == 0:
            self.shared.source.close()


@dataclass(eq=False)
class MergeModel(Model):
    sources: list[tuple[str | None, Model]]
    ended: set[str] = field(default_factory=set)

    def options(self) -> list[Any]:
        possible: list[Any] = []
        waits = False
        for name, source in self.sources:
            for option in source.options():
                if option is WAITS:
                    waits = True
                elif option is not END:
                    possible.append(option)
                elif name is not None and name not in self.ended:
                    possible.append(SourceEnded(name))
        if possible:
            return possible
        return [WAITS] if waits else [END]

    def accept(self, result: Any) -> None:
        if result in (END, WAITS):
            return
        for name, source in self.sources:
            options = source.options()
            if result in options:
                source.accept(result)
                return
            if END in options and name is not None and name not in self.ended and result == SourceEnded(name):
                self.ended.add(name)
                return
        raise AssertionError(f"{result!r} came from nowhere")

    def close(self) -> None:
        for _, source in self.sources:
            source.close()


@dataclass(eq=False)
class Reader:
    real: StreamReader[Any]
    model: Model


@dataclass(eq=False)
class Writer:
    real: StreamWriter[Any]
    model: PipeModel
    name: int
    sent: int = 0
    sending: list[asyncio.Task[bool]] = field(default_factory=list)

    @property
    def is_blocked(self) -> bool:
        return any(not sending.done() for sending in self.sending)


which = st.integers(0, 1_000)
"""Chooses one of what there is, by its number modulo how many there are."""


class StreamMachine(RuleBasedStateMachine):
    """One loop; every rule runs in it until nothing moves any more."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.live: list[Reader] = []
        self.gone: list[tuple[StreamReader[Any], type[Exception]]] = []
        self.writers: list[Writer] = []
        self.names = 0

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(step)

    def take(self, number: int, why: type[Exception]) -> Reader:
        """Choose a reader that goes away."""
        reader = self.live.pop(number % len(self.live))
        self.gone.append((reader.real, why))
        return reader

    @rule(capacity=st.integers(0, 3), count=st.integers(0, 4))
    def open_pipe(self, capacity: int, count: int) -> None:
        model = PipeModel()
        real, writer = pipe(capacity)
        self.live.append(Reader(real, model))
        self.writers.append(Writer(writer, model, len(self.writers)))
        for _ in range(count):
            self.send(len(self.writers) - 1, fails=False)

    @rule(count=st.integers(0, 4), kind=st.sampled_from(["list", "iterator", "generator"]))
    def open_source(self, count: int, kind: str) -> None:
        self.names += 1
        items = [(f"{kind} {self.names}", number) for number in range(count)]

        async def generate() -> Any:
            for item in items:
                yield item

        real = {
            "list": lambda: StreamReader.from_iterable(items),
            "iterator": lambda: StreamReader.from_iterable(iter(items)),
            "generator": lambda: StreamReader.from_async(generate()),
        }[kind]()
        self.live.append(Reader(real, PipeModel(deque(items), ended=True)))

    @precondition(lambda self: self.writers)
    @rule(number=which, fails=st.booleans())
    def send(self, number: int, fails: bool) -> None:
        writer = self.writers[number % len(self.writers)]
        item: Any = (f"pipe {writer.name}", writer.sent)
        writer.sent += 1
        error = ScriptedError(writer.sent)

        async def step() -> None:
            if writer.model.ended:
                with pytest.raises(StreamClosedError, match=re.escape(repr(item))):
                    await writer.real.send(item)
                return
            sending = asyncio.create_task(writer.real.send_error(error) if fails else writer.real.send(item))
            await turns()
            writer.sending.append(sending)
            if not writer.model.closed:
                writer.model.items.append(error if fails else item)

        self.run(step())

    @precondition(lambda self: self.writers)
    @rule(number=which)
    def close_writer(self, number: int) -> None:
        writer = self.writers[number % len(self.writers)]
        if writer.is_blocked:
            return  # closing under a blocked send drops its element; that has a test of its own

        async def step() -> None:
            writer.real.close()
            await turns()

        self.run(step())
        writer.model.ended = True

    @precondition(lambda self: self.live)
    @rule(number=which, count=st.integers(1, 3))
    def recv(self, number: int, count: int) -> None:
        reader = self.live[number % len(self.live)]
        for _ in range(count):
            result = self.run(receive(reader.real))
            options = reader.model.options()
            assert result in options, (result, options)
            reader.model.accept(result)

    @precondition(lambda self: self.gone)
    @rule(number=which)
    def recv_from_one_that_has_gone(self, number: int) -> None:
        real, why = self.gone[number % len(self.gone)]
        assert self.run(receive(real)) is why

    @precondition(lambda self: self.live)
    @rule(number=which, count=st.integers(2, 3))
    def copy(self, number: int, count: int) -> None:
        reader = self.take(number, StreamInUseError)
        copies = self.run(in_loop(lambda: reader.real.copy(count)))
        if isinstance(reader.model, CopyModel):
            shared, position = reader.model.shared, reader.model.position
            shared.open += count - 1
        else:
            shared, position = Shared(reader.model, open=count), 0
        self.live.extend(Reader(real, CopyModel(shared, position)) for real in copies)

    @precondition(lambda self: self.live)
    @rule(number=which)
    def map(self, number: int) -> None:
        reader = self.take(number, StreamInUseError)
        real = self.run(in_loop(lambda: reader.real.map(MapModel.mapped)))
        self.live.append(Reader(real, MapModel(reader.model)))

    @precondition(lambda self: len(self.live) >= 2)
    @rule(numbers=st.lists(which, min_size=2, max_size=4), named=st.booleans())
    def merge(self, numbers: list[int], named: bool) -> None:
        given = [self.take(number, StreamInUseError) for number in numbers[: len(self.live)]]
        models = [reader.model for reader in given]
        if named:
            self.names += 1
            names = [f"source {self.names}.{number}" for number in range(len(given))]
            real = self.run(in_loop(lambda: merge_named(dict(zip(names, (each.real for each in given), strict=True)))))
            self.live.append(Reader(real, MergeModel(list(zip(names, models, strict=True)))))
        else:
            real = self.run(in_loop(lambda: merge([each.real for each in given])))
            self.live.append(Reader(real, MergeModel([(None, model) for model in models])))

    @precondition(lambda self: self.live)
    @rule(number=which, waits=st.booleans())
    def close_reader(self, number: int, waits: bool) -> None:
        reader = self.take(number, StreamClosedError)

        async def step() -> None:
            if waits:
                await reader.real.aclose()
            else:
                reader.real.close()
            await turns()

        self.run(step())
        reader.model.close()

    @invariant()
    def sends_are_answered(self) -> None:
        """Who waits to send goes on when there is room, and learns that the reader has gone."""
        for writer in self.writers:
            done = [sending.result() for sending in writer.sending if sending.done()]
            if writer.model.closed:
                assert not writer.is_blocked
            elif not writer.model.items:
                assert not writer.is_blocked
                assert all(done)

    def teardown(self) -> None:
        async def step() -> None:
            for reader in self.live:
                await reader.real.aclose()
            for real, _ in self.gone:
                await real.aclose()
            await turns()
            left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            assert not left, left
            for writer in self.writers:
                assert not writer.is_blocked
                writer.real.close()

        self.run(step())
        self.runner.close()


async def turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def in_loop(call: Any) -> Any:
    return call()


async def receive(reader: StreamReader[Any]) -> Any:
    """Return what `recv` gives, or `WAITS` (and cancel it) if it gives nothing although nothing moves any more."""
    receiving = asyncio.ensure_future(reader.recv())
    await turns()
    receiving.cancel()
    try:
        result = await receiving
    except asyncio.CancelledError:
        return WAITS
    except EndOfStream:
        return END
    except ScriptedError as error:
        return error
    except (StreamClosedError, StreamInUseError) as error:
        return type(error)
    finally:
        await turns()
    return result


StreamMachine.TestCase.settings = settings(stateful_step_count=40)
TestStreams = StreamMachine.TestCase
