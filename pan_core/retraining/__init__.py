"""What retraining decides, without Prefect."""
