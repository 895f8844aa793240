"""Constructor arguments by name, the way that scikit-learn asks for them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any, Self


class Parameters:
    """What frozen specifications share with scikit-learn's estimators.

    Constructor arguments are kept as they were passed, so that
    :func:`sklearn.base.clone` makes an equal copy. Arguments of a specification inside
    another are called ``outer__inner``, such as ``purchases__priors``.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor arguments by name.

        Parameters
        ----------
        deep : bool
            Add those of specifications inside this one, as ``outer__inner``.

        Examples
        --------
        >>> from clvmodels import CLVModel
        >>> CLVModel().get_params()["spend__priors"]
        'default'
        """
        own = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        inner = {name: value for name, value in own.items() if isinstance(value, Parameters)}
        if deep:
            for outer, value in inner.items():
                own |= {f"{outer}__{name}": one for name, one in value.get_params().items()}
        return own

    def set_params(self, **params: Any) -> Self:
        """Refuse to change: a specification is frozen, :meth:`replace` makes a changed copy.

        scikit-learn changes an estimator in place. Doing that here would change what a
        fit was made with; returning a copy would be lost on a caller who ignores it.

        Parameters
        ----------
        **params
            Without any, this returns the specification itself, as scikit-learn does.

        Raises
        ------
        FrozenInstanceError
            There are some.
        """
        if params:
            named = ", ".join(f"{name}=..." for name in params)
            raise FrozenInstanceError(
                f"{type(self).__name__} is frozen: model.replace({named}) returns a changed copy."
            )
        return self

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some arguments changed.

        Parameters
        ----------
        **changes
            By the names of :meth:`get_params`, also ``outer__inner``.

        Examples
        --------
        >>> from clvmodels import CLVModel
        >>> CLVModel().replace(purchases__T_scale=30.0).purchases.T_scale
        30.0
        """
        inner: dict[str, dict[str, Any]] = defaultdict(dict)
        for name in [one for one in changes if "__" in one]:
            outer, _, rest = name.partition("__")
            inner[outer][rest] = changes.pop(name)
        for outer, those in inner.items():
            changes[outer] = changes.get(outer, getattr(self, outer)).replace(**those)
        return replace(self, **changes)  # type: ignore[type-var]
