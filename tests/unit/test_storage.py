"""One NetCDF file holds a posterior whole, and nothing else is taken for one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    GammaGammaPosterior,
    ModifiedBetaGeoPosterior,
    ParetoNBDPosterior,
    load_posterior,
)
from clvmodels.errors import ClvError, PosteriorFileError
from clvmodels.posterior import Metadata
from clvmodels.posterior.core import Posterior
from clvmodels.posterior.storage import FORMAT_VERSION
from clvmodels.schema import TimeScale
from clvmodels.verdict import laplace_verdict

ROWS = pd.DataFrame(
    {
        "customer_id": ["a", "b", "c"],
        "frequency": [0, 2, 7],
        "recency": [0.0, 30.43, 29.43],
        "T": [38.86] * 3,
        "monetary_value": [0.0, 22.35, 73.74],
    }
)


def purchases(kind=BetaGeoPosterior, *, count: int = 40):
    rng = np.random.default_rng(3)
    draws = {n: rng.gamma(40, 0.02, count) for n in kind.facts.parameter_names}
    return kind.from_draws(**draws, time_unit="D", time_scaler=7)


def spend(count: int = 40) -> GammaGammaPosterior:
    rng = np.random.default_rng(4)
    return GammaGammaPosterior.from_draws(
        p=rng.gamma(60, 0.1, count), q=rng.gamma(90, 0.04, count), v=rng.gamma(60, 0.3, count)
    )


def fitted() -> BetaGeoPosterior:
    """A posterior with all that a fit leaves behind: chains, statistics, metadata."""
    rng = np.random.default_rng(5)
    dims = ("chain", "draw")
    coords = {"chain": [0, 1], "draw": np.arange(20)}
    names = ("r", "alpha", "a", "b", "phi_dropout", "kappa_dropout")
    posterior = xr.Dataset({n: (dims, rng.gamma(4, 1, (2, 20))) for n in names}, coords=coords)
    posterior.attrs.update(method="laplace", seed=5, sampling_time=0.25)
    stats = xr.Dataset(
        {"lp": (dims, rng.normal(size=(2, 20))), "diverging": (dims, np.zeros((2, 20), bool))},
        coords=coords,
    )
    stats.attrs.update(khat=0.4, importance_ess=812.5)
    metadata = Metadata(
        model="bgnbd",
        method="laplace",
        scale=TimeScale("D", 7),
        observation_end="1997-09-30",
        verdict=laplace_verdict(0.4, 812.5),
        priors={"r": {"dist": "LogNormal", "kwargs": {"mu": -0.5, "sigma": 1.2}}},
        prior_scales={"T_scale": 32.7},
        seed=5,
        notes=("Käse ✓",),
        base={"customers": 2357.0},
        fingerprint="ab" * 32,
        versions={"clvmodels": "0.1.0"},
    )
    return BetaGeoPosterior(
        xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats}), metadata
    )


POSTERIORS = {
    "both": lambda: CLVPosterior(purchases(), spend()),
    "both, MBG/NBD": lambda: CLVPosterior(purchases(ModifiedBetaGeoPosterior), spend()),
    "purchases": purchases,
    "MBG/NBD": lambda: purchases(ModifiedBetaGeoPosterior),
    "Pareto/NBD": lambda: purchases(ParetoNBDPosterior),
    "spend": spend,
    "a point": lambda: BetaGeoPosterior.from_draws(r=0.2, alpha=4.0, a=0.8, b=2.4),
    "fitted": fitted,
    "fitted and given": lambda: CLVPosterior(fitted(), spend()),
}


def parts(posterior) -> list[Posterior]:
    if isinstance(posterior, CLVPosterior):
        return [posterior.purchases, posterior.spend]
    return [posterior]


@pytest.mark.parametrize("name", list(POSTERIORS))
def test_round_trip(tmp_path: Path, name: str) -> None:
    saved = POSTERIORS[name]()
    path = saved.save(tmp_path / "p.nc")
    loaded = load_posterior(path)
    assert type(loaded) is type(saved)
    assert loaded.fingerprint() == saved.fingerprint()
    for back, original in zip(parts(loaded), parts(saved), strict=True):
        assert type(back) is type(original)
        assert back.metadata == original.metadata
        assert set(back.tree.children) == set(original.tree.children)
        for group in original.tree.children:
            one, other = back.tree[group].to_dataset(), original.tree[group].to_dataset()
            xr.testing.assert_identical(one, other)
    if isinstance(saved, CLVPosterior):
        pd.testing.assert_frame_equal(loaded.predict(ROWS), saved.predict(ROWS), check_exact=True)


def test_metadata_survives_json() -> None:
    metadata = fitted().metadata
    text = json.dumps(metadata.to_dict(), allow_nan=False)
    assert Metadata.from_dict(json.loads(text)) == metadata


def test_a_path_may_be_text_and_its_directory_new(tmp_path: Path) -> None:
    path = spend().save(str(tmp_path / "new" / "deep" / "p.nc"))
    assert load_posterior(str(path)).draws_total == 40


def test_saving_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure while writing leaves the old file as it was, and no debris."""
    path = spend().save(tmp_path / "p.nc")
    before = path.read_bytes()

    def fail(self, target, **_):
        Path(target).write_bytes(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(xr.DataTree, "to_netcdf", fail)
    with pytest.raises(KeyboardInterrupt):
        spend(30).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["p.nc"]


def test_saving_replaces_and_leaves_usual_permissions(tmp_path: Path) -> None:
    path = spend().save(tmp_path / "p.nc")
    spend(30).save(path)
    assert load_posterior(path).draws_total == 30
    assert os.listdir(tmp_path) == ["p.nc"]
    (tmp_path / "usual").write_bytes(b"")
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode


# --- what is not a posterior ---


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return POSTERIORS["both"]().save(tmp_path_factory.mktemp("whole") / "p.nc").read_bytes()


def refused(path: Path, says: str) -> None:
    with pytest.raises(PosteriorFileError, match=says) as caught:
        load_posterior(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.nc", "does not exist")
    refused(tmp_path, "does not exist")


def test_truncated_anywhere(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cut.nc"
    cuts = {0, 1, 7, 8, 100, 511, 512, len(content) - 1}
    cuts |= set(np.linspace(0, len(content) - 1, 60).astype(int).tolist())
    for cut in sorted(cuts):
        path.write_bytes(content[:cut])
        refused(path, "cannot be read as a posterior|damaged|lost its metadata|none that clvmodels")


@given(st.binary(max_size=4_000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_random_bytes(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "garbage.nc"
    path.write_bytes(garbage)
    refused(path, "cannot be read as a posterior")


def first_format(path: Path, target: Path, **changes: object) -> Path:
    """The same posterior as the first format had it, without a digest but of the draws."""
    with xr.open_datatree(path, engine="h5netcdf") as opened:
        tree = opened.load()
    del tree.attrs["digest"]
    tree.attrs["format_version"] = 1
    record = json.loads(tree.attrs["metadata"])
    for entry in record.values():
        for field, value in changes.items():
            if value == "absent":
                del entry[field]
            else:
                entry[field] = value
    tree.attrs["metadata"] = json.dumps(record)
    tree.to_netcdf(target, engine="h5netcdf")
    return target


@pytest.mark.parametrize("name", list(POSTERIORS))
def test_the_first_format_is_read(tmp_path: Path, name: str) -> None:
    saved = POSTERIORS[name]()
    path = first_format(saved.save(tmp_path / "p.nc"), tmp_path / "first.nc")
    loaded = load_posterior(path)
    assert loaded.fingerprint() == saved.fingerprint()
    for back, original in zip(parts(loaded), parts(saved), strict=True):
        assert back.metadata == original.metadata


@pytest.mark.parametrize("name", ["purchases", "spend"])
@pytest.mark.parametrize("first", [False, True])
def test_changed_draws_are_refused(tmp_path: Path, name: str, first: bool) -> None:
    """A flipped bit in the draws would else be a silently wrong prediction."""
    path = POSTERIORS[name]().save(tmp_path / "p.nc")
    if first:
        path = first_format(path, tmp_path / "first.nc")
    content = path.read_bytes()
    for values in POSTERIORS[name]().draws().values():
        start = content.index(values.tobytes())
        changed = bytearray(content)
        changed[start + 43] ^= 1
        path.write_bytes(bytes(changed))
        refused(path, "damaged.*that were saved" if first else "damaged.*what was saved")


def foreign(path: Path, **attrs: object) -> Path:
    xr.Dataset({"z": ("t", [1.0, 2.0])}, attrs=attrs).to_netcdf(path, engine="h5netcdf")
    return path


def test_foreign_netcdf(tmp_path: Path) -> None:
    refused(foreign(tmp_path / "a.nc"), "none that clvmodels saved")
    refused(foreign(tmp_path / "b.nc", format="other"), "none that clvmodels saved")
    netcdf3 = tmp_path / "c.nc"
    xr.Dataset({"z": ("t", [1.0])}).to_netcdf(netcdf3, engine="scipy")
    refused(netcdf3, "cannot be read as a posterior")


CHECK = {"name": "R-hat", "value": 1.0, "limit": 1.01, "status": "pass", "advice": ""}
OWN = {"format": "clvmodels posterior", "format_version": FORMAT_VERSION}


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 99])
def test_newer_format(tmp_path: Path, version: int) -> None:
    says = f"format {version}.*up to {FORMAT_VERSION}.*upgrade"
    refused(foreign(tmp_path / "a.nc", **(OWN | {"format_version": version})), says)
    extra = {"format_version": version, "metadata": "{}"}
    refused(foreign(tmp_path / "b.nc", **(OWN | extra)), says)


@pytest.mark.parametrize(
    "attrs",
    [
        {"format": "clvmodels posterior"},
        {"format": "clvmodels posterior", "format_version": "one"},
        OWN,
        {**OWN, "metadata": "not json"},
        {**OWN, "metadata": "[1, 2]"},
        {**OWN, "metadata": "{}"},
        {**OWN, "metadata": "null"},
        {**OWN, "metadata": '{"bgnbd": 3}'},
        {**OWN, "metadata": '{"bgnbd": {}}'},
    ],
)
def test_damaged_metadata(tmp_path: Path, attrs: dict[str, object]) -> None:
    refused(foreign(tmp_path / "a.nc", **attrs), "lost its metadata|holds no posterior|damaged")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", None),
        ("verdict", {"method": "nuts", "checks": [{**CHECK, "status": "qass"}]}),
        ("verdict", {"method": "nutz", "checks": []}),
        ("time_unit", "fortnight"),
        ("time_scaler", -1),
        ("verdict", None),
        ("verdict", {"method": "nuts", "checks": [{"no": 1}]}),
        ("priors", "absent"),
    ],
)
def test_metadata_that_makes_no_sense(tmp_path: Path, field: str, value: object) -> None:
    path = spend().save(tmp_path / "p.nc")
    refused(first_format(path, tmp_path / "first.nc", **{field: value}), "damaged")


def test_a_model_of_another_version_is_named(tmp_path: Path) -> None:
    path = spend().save(tmp_path / "p.nc")
    changed = first_format(path, tmp_path / "first.nc", model="weibull_nbd")
    refused(changed, "of the model 'weibull_nbd'.*does not know.*bgnbd.*upgrade")


@pytest.mark.parametrize("name", ["fitted and given", "purchases"])
def test_changed_metadata_is_refused(tmp_path: Path, name: str) -> None:
    """Also where it still makes sense: another margin, seed or note."""
    path = POSTERIORS[name]().save(tmp_path / "p.nc")
    content = path.read_bytes()
    start = content.index(b'{"bgnbd"')
    end = start + content[start:].index(b"\0")
    for at in range(start + 2, end, 37):
        changed = bytearray(content)
        changed[at] ^= 1
        path.write_bytes(bytes(changed))
        refused(path, "damaged|lost its metadata|does not know|holds no posterior")


def test_changed_statistics_and_attributes_are_refused(tmp_path: Path) -> None:
    saved = fitted()
    path = saved.save(tmp_path / "p.nc")
    content = path.read_bytes()
    lp = saved.tree["sample_stats"]["lp"].values.tobytes()
    for found in (lp, np.float64(812.5).tobytes(), b"importance_ess"):
        changed = bytearray(content)
        changed[content.index(found) + 2] ^= 1
        path.write_bytes(bytes(changed))
        refused(path, "damaged.*what was saved|cannot be read")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # h5netcdf's own
@pytest.mark.timeout(1800)  # of 1,000 flips, on a machine that does other things
def test_a_flipped_bit_is_an_error_or_changes_nothing(tmp_path: Path) -> None:
    saved = CLVPosterior(fitted(), spend())
    path = saved.save(tmp_path / "p.nc")
    content = path.read_bytes()
    rng, flips = np.random.default_rng(7), int(os.environ.get("CLVMODELS_FLIPS", "250"))
    errors = 0
    places = rng.integers(0, len(content), flips), rng.integers(0, 8, flips)
    for at, bit in zip(*places, strict=True):
        changed = bytearray(content)
        changed[at] ^= 1 << bit
        path.write_bytes(bytes(changed))
        try:
            loaded = load_posterior(path)
        except PosteriorFileError:
            errors += 1
            continue
        assert loaded.fingerprint() == saved.fingerprint()
        for back, original in zip(parts(loaded), parts(saved), strict=True):
            assert back.metadata == original.metadata
            for group in original.tree.children:
                one, other = back.tree[group].to_dataset(), original.tree[group].to_dataset()
                xr.testing.assert_identical(one, other)
    assert errors > 0.16 * flips


def test_a_lost_parameter_is_found_on_loading(tmp_path: Path) -> None:
    path = spend().save(tmp_path / "p.nc")
    with xr.open_datatree(path, engine="h5netcdf") as opened:
        tree = opened.load()
    group = tree["gamma_gamma/posterior"].to_dataset().drop_vars("q")
    tree["gamma_gamma/posterior"] = xr.DataTree(group)
    tree.to_netcdf(tmp_path / "lost.nc", engine="h5netcdf")
    refused(tmp_path / "lost.nc", "damaged.*what was saved")
    refused(first_format(tmp_path / "lost.nc", tmp_path / "first.nc"), "damaged.*q")


def test_the_error_is_one_of_ours() -> None:
    assert issubclass(PosteriorFileError, ClvError)
    assert issubclass(PosteriorFileError, OSError)


def test_nothing_is_pickled(content: bytes) -> None:
    """An HDF5 file by its signature, with JSON in it and no pickle's opcodes or modules."""
    assert content.startswith(b"\x89HDF\r\n\x1a\n")
    assert b'"bgnbd"' in content
    for trace in (b"clvmodels.posterior", b"numpy.core", b"numpy._core", b"builtins"):
        assert trace not in content
    package = Path(sys.modules["clvmodels"].__file__).parent
    sources = [file.read_text(encoding="utf-8") for file in package.rglob("*.py")]
    assert len(sources) > 30
    for word in ("import pickle", "import joblib", "import dill", "allow_pickle=True"):
        assert not any(word in source for source in sources)


@pytest.mark.slow  # a fresh interpreter
def test_loading_and_predicting_need_no_pymc(tmp_path: Path) -> None:
    path = POSTERIORS["both"]().save(tmp_path / "p.nc")
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    code = f"""
import sys
import pandas as pd
import clvmodels
posterior = clvmodels.load_posterior({str(path)!r})
table = posterior.predict(pd.read_csv({str(tmp_path / "rows.csv")!r}))
posterior.new_customer_value()
posterior.purchases.expected_purchases(table, future_t=3)
posterior.summary()
print([m for m in ("pymc", "pymc_extras", "pytensor", "nutpie", "pickle5") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
