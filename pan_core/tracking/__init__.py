"""MLflow: runs, and what could not be delivered yet."""
