"""Posteriors as MLflow models, with their verdict beside them and without pickle.

A model's folder holds the posterior's own NetCDF file, which nothing but data can come
out of. `load_model` gives the posterior back; ``mlflow.pyfunc.load_model`` gives a model
whose ``predict`` takes a frame of customers and returns that of
:meth:`clvmodels.CLVPosterior.predict`. Loading and predicting need no PyMC.

There is no Spark UDF here: ``clvmodels.spark.score`` scores a Spark DataFrame, with every
row that cannot be scored and its reason, where a UDF would fail or return nothing.

MLflow is an optional dependency: ``pip install 'clvmodels[mlflow]'``. Its reports of usage
to its makers are turned off while a function of this module runs, unless the variable
MLFLOW_DISABLE_TELEMETRY says otherwise.
"""

from clvmodels.mlflow.models import load_model, log_model, save_model
from clvmodels.mlflow.pyfunc import _load_pyfunc as _load_pyfunc

__all__ = ["load_model", "log_model", "save_model"]


def __dir__() -> list[str]:
    return __all__
