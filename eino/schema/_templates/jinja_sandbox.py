"""The Jinja2 environment of prompts: data and a list of harmless methods, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, time
from types import BuiltinMethodType, MethodType
from typing import Any

import jinja2
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, TemplateReference, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace

from eino.errors import TemplateError
from eino.schema._templates import jinja_limits as limits
from eino.schema._templates.walk import declared_fields

__all__ = ["Sandbox"]

# fmt: off
_TEXT_METHODS = frozenset({
    "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isascii", "isdecimal",
    "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper", "join", "lower", "lstrip", "partition",
    "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split",
    "splitlines", "startswith", "strip", "swapcase", "title", "upper",
})
_TIME_ATTRIBUTES = frozenset({
    "date", "day", "hour", "isoformat", "isoweekday", "microsecond", "minute", "month", "second", "strftime", "time",
    "weekday", "year",
})
_LOOP_ATTRIBUTES = frozenset({
    "changed", "cycle", "depth", "depth0", "first", "index", "index0", "last", "length", "nextitem", "previtem",
    "revindex", "revindex0",
})
# fmt: on
_READABLE: tuple[tuple[type | tuple[type, ...], frozenset[str]], ...] = (
    (str, _TEXT_METHODS),
    (Mapping, frozenset({"get", "items", "keys", "values"})),
    (Sequence, frozenset({"count", "index"})),
    ((date, time), _TIME_ATTRIBUTES),
    (LoopContext, _LOOP_ATTRIBUTES),
    (Cycler, frozenset({"current", "next", "reset"})),
)
"""What templates may read of values that are no records: attributes and methods that look at nothing but the value."""
_MACRO_STEPS = 8
"""What the call of a macro costs; they may call each other, and take far longer than a turn of a loop."""
_CALLABLE = (BlockReference, Joiner, LoopContext, Macro)


class Sandbox(ImmutableSandboxedEnvironment):
    """Reads mappings, sequences and declared fields; calls only what Jinja2 itself or `_READABLE` provides."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(loader=None, autoescape=False, optimized=False, keep_trailing_newline=True, finalize=_finalize)
        self.globals = {
            "cycler": Cycler,
            "dict": dict,
            "joiner": Joiner,
            "namespace": Namespace,
            "range": limits.bounded_range,
        }
        self.filters = dict(limits.FILTERS)
        self.binop_table.update({"+": limits.add, "*": limits.multiply, "**": limits.power, "%": limits.percent})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return `obj.attribute` as templates see it; Python's attributes do not exist for them."""
        if attribute.startswith("_") and not isinstance(obj, Mapping):
            raise _refused(obj, attribute)
        if isinstance(obj, Namespace | Undefined) or attribute in _readable(obj):
            return getattr(obj, attribute)
        if isinstance(obj, Mapping | TemplateReference):
            return self._item(obj, attribute)
        if attribute in declared_fields(obj):
            return getattr(obj, attribute)
        if isinstance(obj, str | bytes | Sequence | int | float | None):
            return self._no_such(obj, attribute)
        raise _refused(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return `obj[argument]` as templates see it: a key, an index or slice, else an attribute."""
        if isinstance(obj, Mapping) and argument in obj:
            return obj[argument]
        if isinstance(argument, str):
            return self.getattr(obj, argument)
        if isinstance(obj, Mapping | Sequence | Undefined):
            return self._item(obj, argument)
        raise _refused(obj, str(argument))

    def _item(self, obj: Any, argument: Any) -> Any:
        try:
            return obj[argument]
        except (LookupError, TypeError):
            return self.undefined(obj=obj, name=argument)

    def _no_such(self, obj: object, attribute: str) -> Undefined:
        if hasattr(type(obj), attribute):
            raise _refused(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def is_safe_callable(self, obj: Any) -> bool:
        """Tell whether a template may call `obj`; a callable among the variables may not be."""
        if isinstance(obj, BuiltinMethodType | MethodType):
            return obj.__name__ in _readable(obj.__self__)
        return isinstance(obj, _CALLABLE) or any(obj is function for function in self.globals.values())

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call `obj` for a template, within its budget."""
        if isinstance(obj, Undefined):
            obj()  # raises with the name of what is missing
        if not self.is_safe_callable(obj):
            raise TemplateError(
                f"the template calls a {type(obj).__name__}, which is refused: templates read variables, they do not"
                " call them; compute the value first and pass it"
            )
        limits.steps(_MACRO_STEPS if isinstance(obj, Macro) else 1)
        receiver = getattr(obj, "__self__", None)
        if isinstance(obj, LoopContext):
            args = (limits.counted(args[0]), *args[1:]) if args else args
        elif isinstance(receiver, str) and obj.__name__ in ("join", "replace"):
            obj = limits.string_method(receiver, obj.__name__)
        elif isinstance(receiver, date | time) and args:
            limits.check_date_format(args[0])
        return limits.sized(context.call(obj, *args, **kwargs))


@jinja2.pass_context
def _finalize(_: Context, value: Any) -> Any:
    """Return what an output prints; being bound to a context, it also keeps Jinja2 from computing while compiling."""
    return value if isinstance(value, Undefined) else limits.text(value)


def _readable(obj: object) -> frozenset[str]:
    return next((names for types, names in _READABLE if isinstance(obj, types)), frozenset())


def _refused(obj: object, attribute: str) -> TemplateError:
    return TemplateError(
        f"access to {attribute!r} of a {type(obj).__name__} is refused: templates read mappings, sequences and declared"
        " fields of records; pass the value itself as a variable"
    )
