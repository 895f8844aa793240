"""Two real transaction logs that come with the package; see data/README.md."""

from __future__ import annotations

from importlib import resources

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

# Whole numbers that may be missing stay whole numbers
_NULLABLE = {pa.int32(): pd.Int32Dtype()}

__all__ = ["load_cdnow", "load_online_retail"]


def __dir__() -> list[str]:
    return __all__


def load_cdnow(sample: bool = False) -> pd.DataFrame:
    """Load CDNOW, the field's classic log: purchases at an online music shop, 1997-98.

    Every purchase, 1997-01-01 to 1998-06-30, of the 23,570 customers who first bought in
    the first quarter of 1997: 69,659 rows, several of a day included, 80 of amount 0.

    Parameters
    ----------
    sample : bool
        Only the published 1/10 sample: 2,357 customers, 6,919 rows.

    Returns
    -------
    pandas.DataFrame
        customer_id (int), date (day resolution), amount (US dollars), quantity (CDs),
        sample_id (number within the sample, missing outside it).

    Notes
    -----
    Compiled by P. S. Fader and B. G. S. Hardie and offered on brucehardie.com for
    research and teaching, without a stated licence. Fader & Hardie (2001), "Forecasting
    Repeat Sales at CDNOW: A Case Study", Interfaces 31(3), S94-S107.
    """
    log = _load("cdnow")
    return log[log["sample_id"].notna()].reset_index(drop=True) if sample else log


def load_online_retail() -> pd.DataFrame:
    """Load Online Retail: invoice lines of a British gift wholesaler, 2010-12 to 2011-12.

    541,909 lines as messy as real logs are: 135,080 without a customer, cancellations
    as negative amounts, zero prices, and one pair of 168,469.60 and its cancellation.

    Returns
    -------
    pandas.DataFrame
        customer_id (Int32, may be missing), timestamp, amount (pounds, quantity times
        unit price), invoice (text, "C..." for cancellations), country.

    Notes
    -----
    D. Chen (2015), UCI Machine Learning Repository, doi:10.24432/C5BW33, licence
    CC BY 4.0; reduced to five columns, so rows that differ only in the article are exact
    duplicates here.
    """
    return _load("online_retail")


def _load(name: str) -> pd.DataFrame:
    file = resources.files("clvmodels") / "data" / f"{name}.parquet"
    with resources.as_file(file) as path:
        table = pq.read_table(path)
    frame: pd.DataFrame = table.to_pandas(types_mapper=_NULLABLE.get)
    return frame
