"""What `import eino` brings along. What it costs in time is measured by `tox run -e wheel`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
CONTRACT = "the core knows no provider, web, storage, metrics or test library"

EVERY_NAME = "import eino; [getattr(eino, name) for name in eino.__all__]"
"""`import eino` alone loads next to nothing, since names come when they are used: this uses them all."""


def canonical(name: str) -> str:
    """Return a distribution's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def modules_after(statement: str) -> set[str]:
    """Return the top-level modules that a new interpreter has loaded after the statement, beyond its own start."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in run.stdout.split()}


def required_distributions(name: str) -> set[str]:
    """Return the distributions that come with a distribution when no extra is asked for, itself included."""
    found: set[str] = set()
    pending = [name]
    while pending:
        current = canonical(pending.pop())
        if current in found:
            continue
        found.add(current)
        requirements = map(Requirement, metadata.requires(current) or [])
        pending += [r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


def forbidden_modules() -> set[str]:
    """Return what the layer contract forbids the core to import."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [contract for contract in contracts if contract["name"] == CONTRACT]
    return set(contract["forbidden_modules"])


@pytest.mark.parametrize("statement", ["import eino", EVERY_NAME, "import eino_fixtures", "import eino_harness"])
def test_import_loads_required_dependencies_only(statement: str) -> None:
    """Extras are loaded by the modules that need them: whoever imports the package need not have them."""
    homes = metadata.packages_distributions()
    allowed = required_distributions("eino") | {"sniffio"}  # anyio loads it where it finds it
    loaded = modules_after(statement)

    strangers = {name for name in loaded if name in homes and not allowed & {canonical(home) for home in homes[name]}}
    assert loaded & {"eino", "eino_fixtures", "eino_harness"}
    assert strangers == set()


@pytest.mark.parametrize("statement", ["import eino", EVERY_NAME])
def test_import_loads_no_provider_web_or_metrics_library(statement: str) -> None:
    """A required dependency could become one some day: the names count, not where they come from."""
    assert modules_after(statement) & (forbidden_modules() | {"pydantic", "jinja2"}) == set()


def test_layer_contract_forbids_whatever_an_extra_brings() -> None:
    """A new extra joins the contract, so that the core cannot come to depend on it unnoticed."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    brought = {canonical(Requirement(text).name) for texts in extras.values() for text in texts}
    backends = {"trio"}  # the second backend: only eino._tasks may import it, by a contract of its own
    optional = brought - required_distributions("eino") - backends
    homes = metadata.packages_distributions()
    modules = {
        distribution: {module for module, found in homes.items() if distribution in map(canonical, found)}
        for distribution in optional
    }

    assert {"locust", "openai", "starlette", "vcrpy"} <= optional
    assert {name for name, brings in modules.items() if not brings & forbidden_modules()} == set()


WITHOUT_EXTRAS = """
import json, sys
from importlib import import_module, machinery

hidden, modules = json.load(sys.stdin)
real = machinery.PathFinder.find_spec
machinery.PathFinder.find_spec = lambda name, *rest: None if name.partition(".")[0] in hidden else real(name, *rest)
told = {}
for module in modules:
    try:
        import_module(module)
        told[module] = "imported"
    except Exception as error:
        told[module] = f"{type(error).__name__}: {error}"
print(json.dumps(told))
"""
"""Imports modules in an interpreter that does not find some libraries, and says how that went."""


def test_every_extension_names_its_extra_where_nothing_but_the_core_is_installed() -> None:
    """Each of them imports, or says which command brings what it needs; no other error comes through."""
    required = required_distributions("eino")
    homes = metadata.packages_distributions()
    hidden = sorted(name for name, found in homes.items() if not required & {canonical(home) for home in found})
    files = [path for path in (ROOT / "eino" / "ext").rglob("*.py") if not path.name.startswith("_")]
    modules = sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    run = subprocess.run(
        [sys.executable, "-P", "-c", WITHOUT_EXTRAS],
        input=json.dumps([hidden, modules]),
        capture_output=True,
        text=True,
        check=True,
    )

    told = {module: text for module, text in json.loads(run.stdout).items() if text != "imported"}
    assert {"openai", "httpx2", "numpy"} <= set(hidden)
    assert {module for module in told if module.startswith("eino.ext.models.")} >= {
        f"eino.ext.models.{name}" for name in ("openai", "anthropic", "gemini", "ollama")
    }
    for module, text in told.items():
        found = re.fullmatch(r"MissingExtraError: eino\.ext\..* not installed; pip install \"eino\[(\w+)\]\"", text)
        assert found is not None, f"{module}: {text}"
        assert found[1] in extras
