"""What compose.yaml opens and gives away, as far as its text says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]


def test_the_services_of_the_set_up_are_there():
    assert set(SERVICES) == {
        "postgres", "minio", "buckets", "mlflow", "prefect", "worker", "dask-scheduler", "dask-worker",
    }  # fmt: skip


def test_every_port_is_open_on_loopback_only():
    opened = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert opened
    assert [port for port in opened if not port.startswith("127.0.0.1:")] == []


def test_no_secret_stands_in_the_text():
    """Values of variables whose names say that they are secret, and passwords in addresses, come from .env."""
    given = {
        f"{service}.{name}": value
        for service, settings in SERVICES.items()
        for name, value in settings.get("environment", {}).items()
    }
    secret = {name: value for name, value in given.items() if re.search("PASSWORD|SECRET", name)}
    in_address = {
        name: found[1] for name, value in given.items() if (found := re.search(r"://[^:/@]*:([^@]*)@", value))
    }
    assert secret and in_address
    assert [name for name, value in (secret | in_address).items() if not value.startswith("${")] == []


def test_no_secret_is_an_argument():
    """Arguments are for everybody on the machine to read."""
    assert [name for name, service in SERVICES.items() if "PASSWORD" in str(service.get("command", ""))] == []


def test_images_have_exact_tags():
    tags = {service["image"].partition(":")[2] for service in SERVICES.values()}
    assert all(re.search(r"\d+\.\d+|\d{4}-\d{2}-\d{2}", tag) for tag in tags), tags
    assert re.search(r"^FROM python:\d+\.\d+\.\d+-slim-bookworm$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_volumes_are_folders_that_the_image_makes_for_its_user():
    made = re.search(r"mkdir -p (.*?) \\", (ROOT / "Dockerfile").read_text())[1].split()
    mounted = [volume.partition("/project/")[2] for volume in COMPOSE["x-state"]]
    assert [folder for folder in mounted if not any(each.startswith(folder) for each in made)] == []


def test_variables_that_the_example_names_are_those_that_are_asked_for():
    asked = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))
    named = set(re.findall(r"^(\w+)=", (ROOT / "deploy/env.example").read_text(), re.MULTILINE))
    assert asked == named


def test_the_image_takes_no_state_and_no_login_along():
    """Of a working folder everything that git ignores and DVC or Python keeps: cached data, a remote's login, compiled files."""
    left_out = set((ROOT / ".dockerignore").read_text().split())
    assert left_out >= {
        ".git", ".venv", ".cache", ".env", ".dvc/cache", ".dvc/tmp", ".dvc/config.local", "dist", "**/__pycache__", "**/*.pyc",
    }  # fmt: skip


def test_prefect_answers_its_own_pages_only():
    environment = SERVICES["prefect"]["environment"]
    origins = environment["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"].split(",")
    assert set(origins) == {"http://127.0.0.1:4200", "http://localhost:4200"}
    assert environment["PREFECT_SERVER_CSRF_PROTECTION_ENABLED"] == "true"


def test_rows_of_mlflow_are_found_again_by_a_new_container():
    assert SERVICES["worker"]["hostname"]


@pytest.mark.parametrize("script", ["worker.sh"])
def test_shell_scripts_can_be_read(script):
    assert subprocess.run(["sh", "-n", str(ROOT / "deploy" / script)], check=False).returncode == 0


def test_commands_and_their_options_exist():
    """Of the programs in this image; `--help` tells what they take."""
    for service, words in {"mlflow": 2, "prefect": 3}.items():
        command = [part for line in SERVICES[service]["command"] for part in line.split("=")[:1]]
        program = command[0].rpartition("/")[2]
        done = subprocess.run(
            [sys.executable, "-m", program, *command[1:words], "--help"], capture_output=True, text=True, check=True
        )
        options = [part for part in command if part.startswith("--")]
        assert [option for option in options if option not in done.stdout] == []
