"""Unknown keywords: the message names the one that was meant, here or in other packages."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from types import get_original_bases
from typing import Any, Final, cast, get_args, is_typeddict

from clvmodels.errors import SchemaError, UnknownOptionError, explained

_MEANT: Final[dict[str, tuple[str, ...]]] = {
    "amount": ("monetary_value_col",),
    "amount_col": ("monetary_value_col",),
    "axes": ("ax",),
    "calibration_period_end": ("train_period_end",),
    "chain": ("chains",),
    "ci_prob": ("interval",),
    "cores": ("threads",),
    "cred_mass": ("interval",),
    "customer_id": ("customer_id_col",),
    "cutoff": ("observation_period_end", "train_period_end"),
    "data": ("rfm", "source", "log"),
    "customer_col": ("customer_id_col",),
    "date_col": ("datetime_col",),
    "datetime": ("datetime_col",),
    "discount": ("discount_rate",),
    "fit_method": ("method",),
    "freq": ("time_unit",),
    "freq_multiplier": ("time_scaler",),
    "filename": ("output", "path"),
    "future_t": ("horizon", "t"),
    "hdi_prob": ("interval",),
    "horizon": ("future_t", "t"),
    "inference": ("method",),
    "monetary_value": ("monetary_value_col",),
    "n_chains": ("chains",),
    "n_draws": ("draws",),
    "negative_values": ("refunds",),
    "num_samples": ("draws",),
    "num_warmup": ("tune",),
    "nuts_sampler": ("method",),
    "observation_end": ("observation_period_end", "test_period_end"),
    "observation_period_end": ("test_period_end", "observation_end"),
    "path": ("output",),
    "progress_bar": ("progressbar",),
    "random_state": ("random_seed",),
    "returns": ("refunds",),
    "rfm": ("data",),
    "rng": ("random_seed",),
    "sampler": ("method",),
    "samples": ("draws",),
    "seed": ("random_seed",),
    "t": ("horizon", "future_t"),
    "time": ("horizon", "future_t", "t"),
    "timestamp": ("datetime_col",),
    "timestamp_col": ("datetime_col",),
    "transactions": ("source", "log"),
    "warmup": ("tune",),
}
"""What other packages (pymc-marketing, lifetimes, PyMC, Stan) call our options."""

_ABSENT: Final = {
    "cores": "chains run on all cores that the process may use; `chains` is their number",
    "margin": "the margin belongs to the table: rfm_summary(..., margin=0.3)",
    "include_first_transaction": "frequency never counts the first purchase",
    "sort_transactions": "a log need not be sorted",
    "target_accept": "the sampler adapts by itself; if it diverges, change the priors",
    "datetime_format": "convert the column first, as with pandas.to_datetime(..., format=...)",
}
"""What there is no option for, and why."""

_OF_CHAINS: Final = ("cores", "target_accept")

_NEAR: Final = 0.6


def defaults[D: type](**values: Any) -> Callable[[D], D]:
    """Give the keys of a TypedDict the defaults that they have in every signature.

    A function that takes ``**options: Unpack[Kind]`` and is `named` then has these options:
    `inspect.signature`, help and completion show each of them with its default, and its body
    finds all of them in ``options``. Of a TypedDict without defaults the body finds what was
    given, and the signature stays as it is written.
    """

    def decorate(kind: D) -> D:
        _DEFAULTS[kind] = values
        return kind

    return decorate


_DEFAULTS: Final[dict[type, dict[str, Any]]] = {}


def named[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Let a function name its options when it is given one that it does not have.

    The signature stays what it is, for readers and for type checkers; options of a TypedDict
    that has `defaults` are written out in it. A method is called by the class of its object,
    which need not be the one that it is written in.
    """
    signature = inspect.signature(function)
    own = tuple(signature.parameters.values())
    method = bool(own) and own[0].name in _SELF
    kind = _kind_of_options(function, own)
    given = {} if kind is None else defaults_of(kind)
    typed = () if kind is None else tuple(_written_out(kind, given))
    named_ones = (*own[int(method) :], *typed)
    known = tuple(one.name for one in named_ones if one.kind in _BY_NAME)
    needed = [one.name for one in typed if one.default is one.empty and given]
    places = tuple(one.name for one in own if one.kind is one.POSITIONAL_OR_KEYWORD)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not kwargs.keys() <= allowed:
            unknown = next(name for name in kwargs if name not in allowed)
            raise unknown_option(_called(call, args if method else ()), unknown, known)
        if not kwargs.keys() >= required:
            missing = [name for name in needed if name not in kwargs]
            raise TypeError(_missing(function, missing))
        if turned and len(args) > 1 and _is_turned(places, args):
            raise SchemaError(
                f"{function.__name__} takes {places[0]} first and {places[1]} second: "
                f"{function.__name__}({', '.join(places)})."
            )
        try:
            return function(*args, **{**given, **kwargs})
        except ModuleNotFoundError as error:
            raise explained(error, _called(call, args if method else ())) from error

    allowed, required = frozenset(known), frozenset(needed)
    turned = places[1:2] in (("posterior",), ("rfm",), ("cac",))
    if given:
        shown = signature.replace(parameters=_in_order([*typed, *own[:-1]]))
        setattr(call, "__signature__", shown)  # noqa: B010
    return call


def _is_turned(places: Sequence[str], args: Sequence[object]) -> bool:
    """Whether a posterior was given where the other of the first two arguments belongs."""
    first, second = (hasattr(type(one), "fingerprint") for one in args[:2])
    return first and not second if places[1] == "posterior" else second and not first


def _in_order(parameters: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    """Positions first, then keywords that must be given, then the others as they stand."""
    return sorted(
        parameters,
        key=lambda one: (one.kind, one.kind is one.KEYWORD_ONLY and one.default is not one.empty),
    )


def _kind_of_options(function: Any, parameters: Sequence[inspect.Parameter]) -> Any:
    """The TypedDict of ``**options: Unpack[Kind]``; None of a function without such."""
    further = parameters[-1] if parameters else None
    if further is None or further.kind is not further.VAR_KEYWORD:
        return None
    annotation = further.annotation
    if isinstance(annotation, str):
        annotation = eval(annotation, function.__globals__)
    return next(iter(get_args(annotation)), None)


def defaults_of(kind: Any) -> dict[str, Any]:
    """Return what the keys of a TypedDict, and of those it is made of, are by default."""
    found: dict[str, Any] = {}
    for base in get_original_bases(kind):
        if is_typeddict(base):
            found |= defaults_of(base)
    return found | _DEFAULTS.get(kind, {})


def _written_out(kind: Any, given: Mapping[str, Any]) -> Iterator[inspect.Parameter]:
    for name, hint in kind.__annotations__.items():
        yield inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=given.get(name, inspect.Parameter.empty),
            annotation=getattr(hint, "__forward_arg__", hint),
        )


def _missing(function: Callable[..., Any], names: Sequence[str]) -> str:
    """What Python says of arguments that are not there."""
    several = "s" * (len(names) > 1)
    return (
        f"{function.__qualname__}() missing {len(names)} required keyword-only "
        f"argument{several}: {' and '.join(map(repr, names))}"
    )


def named_fields[C: type](cls: C) -> C:
    """Let a record's constructor name its fields as `named` does a function's options."""
    setattr(cls, "__init__", named(getattr(cls, "__init__")))  # noqa: B009, B010
    return cls


def renamed[M](method: M, name: str) -> M:
    """Give a class method a second name, by which its errors call it."""
    function: Any = getattr(method, "__func__", None)
    inner = function.__wrapped__

    @wraps(inner)
    def call(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, **kwargs)

    call.__name__ = name
    return cast(M, classmethod(named(call)))


def _called(function: Callable[..., Any], args: Sequence[object]) -> str:
    """Name a function as its caller knows it."""
    if not args:
        return function.__qualname__
    owner = args[0] if isinstance(args[0], type) else type(args[0])
    is_constructor = function.__name__ == "__init__"
    return owner.__name__ if is_constructor else f"{owner.__name__}.{function.__name__}"


def unknown_option(name: str, option: str, known: Sequence[str]) -> UnknownOptionError:
    """The error of an option that a function does not have."""
    return UnknownOptionError(
        f"{name} has no option {option!r}{_hint(option, known)} It takes {', '.join(known)}."
    )


def _hint(option: str, known: Sequence[str]) -> str:
    meant = [one for one in _MEANT.get(option.lower(), ()) if one in known]
    if not meant and option in _ABSENT and ("chains" in known or option not in _OF_CHAINS):
        return f": {_ABSENT[option]}."
    meant = meant or difflib.get_close_matches(option.lower(), known, n=2, cutoff=_NEAR)
    return f": did you mean {' or '.join(meant)}?" if meant else "."


_SELF: Final = ("self", "cls")
_BY_NAME: Final = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
