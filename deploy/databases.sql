-- Read once by PostgreSQL's image, when its volume is new.
CREATE DATABASE mlflow;
CREATE DATABASE prefect;
CREATE DATABASE optuna;
