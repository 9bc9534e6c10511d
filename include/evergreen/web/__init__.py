"""The pages under /evergreen in Airflow's web server. They read the ledger and the store, and change nothing."""
