"""Where a stack lives: folders, ports, credentials, environment, and the settings of Airflow."""
