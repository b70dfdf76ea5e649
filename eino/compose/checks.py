"""Type checks between nodes: must fit, may fit (checked at run time), never fits.

Pure. Types are annotations: classes, `typing` forms, or `Any`. Containers are covariant; at run time only the origin
is tested. A type that cannot be judged counts as `Any`.
"""

from __future__ import annotations

import collections.abc
import enum
import functools
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, NewType, TypeVar, Union, get_args, get_origin, is_typeddict

__all__ = [
    "Fit",
    "assignable",
    "checker",
    "fits_at_run_time",
    "is_interface",
    "members_of",
    "normalise",
    "type_text",
]

_REMEMBERED = 1024
"""Pairs of types whose answer is remembered: programs build many edges between few types."""


class Fit(enum.IntEnum):
    """How surely a value of one type can be used where another is expected; ordered, so that `min` combines."""

    NEVER = 0
    MAY = 1
    MUST = 2


def assignable(source: Any, target: Any) -> Fit:
    """Return whether a value of type `source` fits where `target` is expected."""
    try:
        return _assignable(source, target)
    except TypeError:  # an annotation that cannot be hashed, such as Annotated[int, []]
        return _assignable.__wrapped__(source, target)


@functools.lru_cache(maxsize=_REMEMBERED)
def _assignable(source: Any, target: Any) -> Fit:
    source, target = normalise(source), normalise(target)
    if target is Any or target is object or source == target:
        return Fit.MUST
    if source is Any or source is object:
        return Fit.MAY
    if _is_union(source):
        fits = [assignable(member, target) for member in get_args(source)]
        return Fit.MUST if min(fits) is Fit.MUST else Fit.MAY if max(fits) > Fit.NEVER else Fit.NEVER
    if _is_union(target):
        return max(assignable(source, member) for member in get_args(target))
    if get_origin(source) is Literal:
        return _literal_source(source, target)
    if get_origin(target) is Literal:
        return min(Fit.MAY, max(assignable(type(value), source) for value in get_args(target)))
    return _classes(source, target)


def normalise(annotation: Any) -> Any:
    """Return `annotation` without wrappers that do not change the type: Annotated, NewType, aliases, Required, ...

    None becomes `NoneType`; type variables and what is not a type become `Any`.
    """
    if type(annotation) is type:  # most are plain classes
        return annotation
    while True:
        if annotation is None:
            return types.NoneType
        if isinstance(annotation, TypeVar):
            return Any
        if isinstance(annotation, NewType):
            annotation = annotation.__supertype__
            continue
        origin = get_origin(annotation)
        if origin in _WRAPPERS:
            annotation = get_args(annotation)[0]
            continue
        alias = getattr(annotation, "__value__", None)  # `type X = ...` of Python 3.12
        if alias is not None and type(annotation).__name__ == "TypeAliasType":
            annotation = alias
            continue
        return annotation if _is_type(annotation, origin) else Any


_WRAPPERS = (typing.Annotated, typing.Required, typing.NotRequired, typing.Final, typing.ClassVar)


def _is_type(annotation: Any, origin: Any) -> bool:
    return isinstance(annotation, type) or origin is not None or annotation is Any


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def members_of(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union; of anything else, that."""
    return get_args(annotation) if _is_union(annotation) else (annotation,)


def _literal_source(source: Any, target: Any) -> Fit:
    if get_origin(target) is Literal:
        allowed = get_args(target)
        inside = [value in allowed for value in get_args(source)]
        return Fit.MUST if all(inside) else Fit.MAY if any(inside) else Fit.NEVER
    return min(assignable(type(value), target) for value in get_args(source))


def _classes(source: Any, target: Any) -> Fit:
    """Compare two plain or parameterised classes."""
    source_class, target_class = _class_of(source), _class_of(target)
    if source_class is None or target_class is None:
        return Fit.MAY
    if _is_protocol(target_class):
        return Fit.MUST if _implements(source_class, target_class) else _interface(source_class)
    if _is_subclass(source_class, target_class):
        return min(Fit.MUST, _parameters(source, target))
    if _is_protocol(source_class) and _implements(target_class, source_class):
        return Fit.MAY
    if _is_subclass(target_class, source_class) or _may_share_subclass(source_class, target_class):
        return Fit.MAY
    return Fit.NEVER


def _class_of(annotation: Any) -> type | None:
    """Return the run-time class of an annotation; a TypedDict is a dict."""
    if is_typeddict(annotation):
        return dict
    origin = get_origin(annotation) or annotation
    if origin is type or (isinstance(origin, type) and origin is not Any):
        return origin
    return None


def _is_subclass(source: type, target: type) -> bool:
    if target is float and issubclass(source, int):
        return True
    if target is complex and issubclass(source, (int, float)):
        return True
    try:
        return issubclass(source, target)
    except TypeError:
        return False


def _is_protocol(cls: type) -> bool:
    return bool(getattr(cls, "_is_protocol", False))


def _implements(source: type, target: type) -> bool:
    """Return whether `source` has what the protocol `target` asks for, as far as names tell."""
    if target in source.__mro__:
        return True
    try:
        return issubclass(source, target)
    except TypeError:
        annotated = {name for cls in source.__mro__ for name in getattr(cls, "__annotations__", {})}
        return all(hasattr(source, name) or name in annotated for name in _members(target))


def _members(protocol: type) -> set[str]:
    """Return what a protocol, and those that it extends, ask for. Before 3.12 Python itself does not tell."""
    return {
        name
        for cls in protocol.__mro__
        if _is_protocol(cls)
        for name in (*cls.__dict__, *getattr(cls, "__annotations__", ()))
        if not name.startswith("_") or name == "__call__"
    }


def _interface(source: type) -> Fit:
    """A class that lacks part of a protocol never fits, unless it is an interface itself."""
    return Fit.MAY if is_interface(source) else Fit.NEVER


def is_interface(cls: type) -> bool:
    """Return whether a class is a protocol or abstract: values have other classes, with more than it tells."""
    return _is_protocol(cls) or bool(getattr(cls, "__abstractmethods__", None))


def _may_share_subclass(source: type, target: type) -> bool:
    """Two interfaces may be implemented by one class; for two concrete classes that is too rare to allow."""
    return is_interface(source) and is_interface(target)


def _parameters(source: Any, target: Any) -> Fit:
    """Compare type parameters covariantly where both sides name as many; what is not named counts as Any."""
    theirs = get_args(target)
    if not theirs or is_typeddict(source) or is_typeddict(target) or get_origin(target) is collections.abc.Callable:
        return Fit.MUST
    ours = get_args(source)
    if get_origin(source) is tuple or get_origin(target) is tuple:
        ours, theirs = _tuple_parameters(source, ours, target, theirs)
    if not ours and theirs:
        return Fit.MAY if _is_bare(source) else Fit.MUST
    if len(ours) != len(theirs):
        return Fit.MAY
    fits = [assignable(one, other) for one, other in zip(ours, theirs, strict=True)]
    return min(fits, default=Fit.MUST)


def _is_bare(source: Any) -> bool:
    """Return whether a generic class stands without its parameters, as `list` does; `str` has none to give."""
    cls = _class_of(source)
    return get_origin(source) is not tuple and (
        "__class_getitem__" in vars(cls) or bool(getattr(cls, "__parameters__", ()))
    )


def _tuple_parameters(
    source: Any, ours: tuple[Any, ...], target: Any, theirs: tuple[Any, ...]
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Line up the parameters of tuples: `tuple[X, ...]` stands for any number of X."""
    if get_origin(source) is tuple and ours[-1:] == (Ellipsis,):
        ours = ours[:1]
    if get_origin(target) is tuple and theirs[-1:] == (Ellipsis,):
        theirs = theirs[:1] * max(1, len(ours))
    elif get_origin(target) is not tuple and get_origin(source) is tuple:
        theirs = theirs[:1] * len(ours)
    return ours, theirs


def fits_at_run_time(target: Any) -> Callable[[Any], bool] | None:
    """Return a test whether a value fits `target`, or None when every value does or nothing can be tested.

    Only the origin of a container is tested. `int` passes for `float`. A protocol that is not runtime-checkable is
    not tested.
    """
    target = normalise(target)
    if target is Any or target is object:
        return None
    if _is_union(target):
        tests = [fits_at_run_time(member) for member in get_args(target)]
        known = [test for test in tests if test is not None]
        return (lambda value: any(test(value) for test in known)) if len(known) == len(tests) else None
    if get_origin(target) is Literal:
        allowed = get_args(target)
        return lambda value: value in allowed
    cls = _class_of(target)
    if cls is None or (_is_protocol(cls) and not getattr(cls, "_is_runtime_protocol", False)):
        return None
    if cls is float:
        return lambda value: isinstance(value, (int, float))
    if cls is complex:
        return lambda value: isinstance(value, (int, float, complex))
    return lambda value: isinstance(value, cls)


def checker(target: Any, refuse: Callable[[Any], Exception]) -> Callable[[Any], Any] | None:
    """Return a function that returns fitting values and raises `refuse(value)` for others; None if all fit."""
    test = fits_at_run_time(target)
    if test is None:
        return None
    cls = normalise(target)
    if isinstance(cls, type) and get_origin(cls) is None and _class_of(cls) is cls and cls not in (float, complex):

        def check_class(value: Any) -> Any:  # one call instead of two, for the commonest kind of type
            if isinstance(value, cls):
                return value
            raise refuse(value)

        return check_class

    def check(value: Any) -> Any:
        if test(value):
            return value
        raise refuse(value)

    return check


def type_text(annotation: Any) -> str:
    """Return an annotation as people write it."""
    if annotation is None or annotation is types.NoneType:
        return "None"
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__qualname__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")
