"""Which model is in use: versions in the MLflow Model Registry, and who takes the champion's place."""
