"""Does a long stream keep memory flat? Sends chunks through pipes, copies, maps and merges, and watches the process.

```text
python benchmarks/soak_streams.py                       1 million chunks on asyncio
python benchmarks/soak_streams.py --chunks 10000000     nightly
python benchmarks/soak_streams.py --backend trio
```

Four pipes and a generator are merged, the merge is copied, one copy is mapped, and both are read side by side, one
reader a bounded distance behind the other. Exit code 0: resident memory grew by less than the limit between the first
tenth (caches are warm, buffers are full) and the end, and every chunk arrived at both readers; 1 otherwise.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from eino.schema import StreamReader, StreamWriter, merge, pipe

PIPES = 4
SOURCES = PIPES + 1
SAMPLES = 20
"""How often memory is looked at."""


def resident_bytes() -> int:
    """Return the memory of this process that is in RAM, in bytes.

    Source:
        proc(5), /proc/[pid]/statm: the second field counts resident pages.
    """
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Soak:
    """What was seen so far."""

    chunks: int
    seen: dict[str, int] = field(default_factory=lambda: {"left": 0, "right": 0})
    checksum: dict[str, int] = field(default_factory=lambda: {"left": 0, "right": 0})
    memory: list[int] = field(default_factory=list)

    @property
    def per_source(self) -> int:
        """Chunks that each source sends."""
        return self.chunks // SOURCES

    async def produce(self, writer: StreamWriter[bytes]) -> None:
        """Send fresh objects, so that whatever is kept shows."""
        for number in range(self.per_source):
            await writer.send(number.to_bytes(64))
        writer.close()

    async def generate(self) -> AsyncGenerator[bytes, None]:
        """Yield the same."""
        for number in range(self.per_source):
            yield number.to_bytes(64)

    async def read(self, name: str, reader: StreamReader[bytes]) -> None:
        """Count and add up; `left` also samples memory."""
        every = max(1, self.per_source * SOURCES // SAMPLES)
        async with reader:
            async for chunk in reader:
                self.seen[name] += 1
                self.checksum[name] += int.from_bytes(chunk)
                if name == "left" and self.seen[name] % every == 0:
                    gc.collect()
                    self.memory.append(resident_bytes())

    async def run(self) -> None:
        """Read everything."""
        async with anyio.create_task_group() as tasks:
            readers: list[StreamReader[bytes]] = [StreamReader.from_async(self.generate())]
            for _ in range(PIPES):
                reader, writer = pipe()
                readers.append(reader)
                tasks.start_soon(self.produce, writer)
            left, right = merge(readers).copy(2)
            tasks.start_soon(self.read, "left", left)
            tasks.start_soon(self.read, "right", right.map(bytes))

    def problems(self, limit_bytes: int) -> list[str]:
        """Return what is wrong."""
        expected = self.per_source * SOURCES
        checksum = SOURCES * sum(range(self.per_source))
        found = [
            f"{name} saw {self.seen[name]} of {expected} chunks, checksum {self.checksum[name]} of {checksum}"
            for name in ("left", "right")
            if (self.seen[name], self.checksum[name]) != (expected, checksum)
        ]
        if self.growth_bytes > limit_bytes:
            found.append(f"memory grew by {self.growth_bytes} bytes, limit {limit_bytes}")
        return found

    @property
    def growth_bytes(self) -> int:
        """Highest resident memory after the first tenth, less the one at its end."""
        warm = len(self.memory) // 10
        return max(self.memory[warm:]) - self.memory[warm]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=1_000_000, help="how many chunks in all (default 1,000,000)")
    parser.add_argument("--backend", choices=["asyncio", "uvloop", "trio"], default="asyncio")
    parser.add_argument("--limit-mb", type=float, default=1.0, help="growth of resident memory that is allowed")
    options = parser.parse_args(arguments)
    if options.chunks < SOURCES * SAMPLES:
        parser.error(f"--chunks must be at least {SOURCES * SAMPLES}, got {options.chunks}")

    soak, started = Soak(options.chunks), time.perf_counter()
    if options.backend == "uvloop":
        anyio.run(soak.run, backend_options={"use_uvloop": True})
    else:
        anyio.run(soak.run, backend=options.backend)
    seconds = time.perf_counter() - started
    sys.stdout.write(
        f"{options.backend}: {soak.seen['left']:,} chunks to 2 readers in {seconds:.1f} s "
        f"({seconds / options.chunks * 1e6:.2f} us a chunk); resident memory {soak.memory[-1] / 1e6:.1f} MB, "
        f"grown by {soak.growth_bytes / 1e6:+.3f} MB\n"
    )
    problems = soak.problems(int(options.limit_mb * 1e6))
    for problem in problems:
        sys.stdout.write(f"FAILED: {problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
