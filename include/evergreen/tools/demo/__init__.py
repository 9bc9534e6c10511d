"""The demo: a model's life on real data, told through a live Airflow."""
