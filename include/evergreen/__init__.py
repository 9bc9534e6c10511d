"""Evergreen keeps tabular models fresh: the package behind the DAGs and the command line. It never imports Airflow."""

__version__ = "0.1.0"
