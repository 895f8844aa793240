"""The examples of the plots' pages: drawn as they stand whenever the site is built."""

# setup
import clvmodels as clv

log = clv.datasets.load_cdnow(sample=True)
columns = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
rfm = clv.rfm_summary(log, **columns, observation_period_end="1997-12-31")
posterior = clv.CLVModel().fit(rfm, random_seed=1)
backtest = clv.backtest(log, **columns, train_period_end="1997-09-30", origins=2)

# plot_timelines
clv.plots.plot_timelines(posterior, rfm, log=log)

# plot_alive_history
clv.plots.plot_alive_history(posterior, rfm, log=log, customer_id=2427)

# plot_next_purchase
clv.plots.plot_next_purchase(posterior, rfm, customer_id=2427)

# plot_customer_value
clv.plots.plot_customer_value(posterior, rfm, customer_id=2427, horizon="365D", unit="$")

# plot_times_between
clv.plots.plot_times_between(posterior, rfm, log=log)

# plot_heterogeneity
clv.plots.plot_heterogeneity(posterior)

# plot_deciles
clv.plots.plot_deciles(backtest, target="value", unit="value in $")

# plot_metric
clv.plots.plot_metric(backtest, "mae")

# plot_comparison
clv.plots.plot_comparison(posterior, rfm, unit="$")

# plot_tiers
clv.plots.plot_tiers(posterior, rfm)

# plot_lorenz
clv.plots.plot_lorenz(posterior, rfm, first="most valuable")

# plot_tornado
clv.plots.plot_tornado(clv.simple_clv(rfm))

# plot_payback
clv.plots.plot_payback(posterior, 50.0, unit="$")

# plot_totals
clv.plots.plot_totals(backtest)

# plot_forecast
months = clv.forecast_total(posterior, rfm, horizon="12M", path="M")
clv.plots.plot_forecast(months, total="value", unit="$")

# plot_clock
days = clv.rfm_summary(log, **columns, day_pairs=True)
clocked = clv.BetaGeoModel(clock=True).fit(days, random_seed=1)
clv.plots.plot_clock(clocked)

# plot_origin_totals
clv.plots.plot_origin_totals(backtest)

# plot_pairs
clv.plots.plot_pairs(
    ["once", "twice", "more often"], [0.3, 0.8, 2.1], [0.4, 0.9, 1.9], unit="orders a year"
)

# plot_calibration
clv.plots.plot_calibration([0.1, 0.3, 0.6, 0.9], [0.12, 0.27, 0.66, 0.88])

# plot_alive_histogram
clv.plots.plot_alive_histogram(posterior, rfm)

# plot_value_distribution
clv.plots.plot_value_distribution(posterior, rfm, currency="$")

# plot_history_matrix
clv.plots.plot_history_matrix(posterior, rfm)

# plot_gains
clv.plots.plot_gains(backtest)

# plot_group_calibration
clv.plots.plot_group_calibration(backtest)

# plot_interval_coverage
clv.plots.plot_interval_coverage(backtest)

# plot_repeat_histogram
clv.plots.plot_repeat_histogram(posterior, rfm)

# plot_purchases_over_time
clv.plots.plot_purchases_over_time(posterior, rfm, log=log, horizon="180D")

# plot_conditional_expectations
clv.plots.plot_conditional_expectations(backtest)

# plot_cohorts
curves = clv.cohorts(posterior, rfm, log=log[log["date"] <= "1997-12-31"], cac=50.0)
clv.plots.plot_cohorts(curves, unit="$")

# plot_cohort_heatmap
curves = clv.cohorts(posterior, rfm, log=log[log["date"] <= "1997-12-31"])
clv.plots.plot_cohort_heatmap(curves, unit="$")

# plot_spend_density
clv.plots.plot_spend_density(posterior, rfm, currency="$")

# plot_spend_by_frequency
clv.plots.plot_spend_by_frequency(rfm, currency="$")

# plot_effects
first = clv.Covariate("first_value", bins=5)
model = clv.ModifiedBetaGeoModel(purchase_covariates=[first], dropout_covariates=[first])
clv.plots.plot_effects(model.fit(rfm, random_seed=1))

# plot_trace
sampled = clv.BetaGeoModel().fit(rfm, method="nuts", draws=500, random_seed=1)
clv.plots.plot_trace(sampled)

# plot_ranks
sampled = clv.BetaGeoModel().fit(rfm, method="nuts", draws=500, random_seed=1)
clv.plots.plot_ranks(sampled)

# plot_energy
sampled = clv.BetaGeoModel().fit(rfm, method="nuts", draws=500, random_seed=1)
clv.plots.plot_energy(sampled)

# plot_ridges
clv.plots.plot_ridges(posterior)

# plot_prior_posterior
clv.plots.plot_prior_posterior(posterior)

# plot_prior_sensitivity
clv.plots.plot_prior_sensitivity(posterior)
