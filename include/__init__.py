"""How the platform works: typed Python, free of Airflow where it can be (design §4)."""
