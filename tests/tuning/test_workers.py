"""Several real processes on one study, and what becomes of the trials of those that die."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from optuna.trial import TrialState
from refusals import refused
from synthetic import Hill, plan, work

from pan_core.errors import PanError
from pan_core.tuning import workers
from pan_core.tuning.storage import open_storage, place
from pan_core.tuning.study import Study
from pan_core.tuning.workers import Worker

HERE = Path(__file__).parent


def start(journal, changes, pause, **environment):
    command = [sys.executable, str(HERE / "synthetic.py"), str(journal), json.dumps(changes), str(pause)]
    return subprocess.Popen(
        command,
        env=os.environ | environment,
        cwd=HERE.parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def running(study):
    return study.trials(TrialState.RUNNING)


def claimed(study):
    """Running trials that say whose they are: killed before that, a worker is taken for dead minutes later only."""
    return [trial for trial in running(study) if "worker" in trial.user_attrs]


def test_two_processes_share_the_trials(journal):
    processes = [start(journal, {"trials": 12}, 0.1, BEGIN_TOGETHER="2") for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    study = Study(plan(trials=12), open_storage(journal))
    done = study.complete
    assert len(done) == 12
    assert len({trial.user_attrs["worker"] for trial in done}) == 2
    assert len({str(trial.params) for trial in done}) == len(done)


@pytest.mark.parametrize("store", ["journal", "sqlite"])
def test_workers_and_restarts_draw_what_one_worker_would(journal, tmp_path, monkeypatch, store):
    """The random phase: values depend on the seed and the number of the trial, whoever runs it and after whatever kill."""
    changes = {"trials": 10, "sampler": "random"}
    alone = Study(plan(trials=40, sampler="random"), open_storage(tmp_path / "alone" / "journal.log"))
    work(alone, tmp_path)
    if store == "sqlite":
        monkeypatch.setenv("PAN_OPTUNA_STORAGE", f"sqlite:///{tmp_path / 'studies.db'}")
    study = Study(plan(**changes), open_storage(journal))
    killed = start(journal, changes, 0.3)
    wait_for(lambda: len(study.complete) >= 1 and claimed(study))
    killed.kill()
    killed.wait()
    processes = [start(journal, changes, 0.02) for _ in range(3)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert len(study.complete) == 10
    for trial in study.trials():  # one that was killed may have some of its values
        assert trial.params.items() <= alone.trial(trial.number).params.items()
    assert len({str(trial.params) for trial in study.complete}) == 10


def test_trial_of_a_killed_worker_is_marked_and_the_study_ends_with_all_its_trials(journal, tmp_path):
    process = start(journal, {"trials": 5}, 1)
    study = Study(plan(trials=5), open_storage(journal))
    wait_for(lambda: len(study.complete) >= 1 and claimed(study))
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = [trial.number for trial in running(study)]
    rows = work(study, tmp_path)
    assert [trial.number for trial in study.trials(TrialState.FAIL)] == killed
    assert len(study.complete) == 5
    assert rows.closed == [f"trial {number}" for number in killed]


def test_defaults_of_a_killed_worker_are_tried_again(journal, tmp_path):
    process = start(journal, {"trials": 5}, 5)
    study = Study(plan(trials=5), open_storage(journal))
    wait_for(lambda: claimed(study))
    process.kill()
    process.wait()
    work(study, tmp_path)
    assert [trial.number for trial in study.complete if study.is_default(trial)] == [1]


def test_a_worker_on_another_machine_is_dead_when_its_beat_stands_still(journal, tmp_path, monkeypatch):
    """The clock is the observer's own; a beat that moves on is alive however long it takes."""
    study = Study(plan(), open_storage(journal))
    with Worker(tmp_path / "workers") as elsewhere:
        monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
        elsewhere.file = elsewhere.file.with_name("elsewhere-1-x.lock")
        trial = study.optuna.ask()
        trial.set_user_attr("worker", str(elsewhere.file))
        monkeypatch.undo()
        now = [1000.0]
        monkeypatch.setattr(workers.time, "monotonic", lambda: now[0])
        with Worker(tmp_path / "workers") as observer:
            assert observer.dead(study.optuna) == []
            now[0] += workers.STALE_S - 1
            trial.set_user_attr("beat", 1)
            assert observer.dead(study.optuna) == []
            now[0] += workers.STALE_S - 1
            assert observer.dead(study.optuna) == []
            now[0] += 2
            assert [dead.number for dead in observer.dead(study.optuna)] == [0]


def test_a_worker_that_was_taken_for_dead_drops_its_trial(journal, tmp_path):
    study = Study(plan(trials=2), open_storage(journal))

    class Buried(Hill):
        def accuracy(self, values, seed, report):
            if not self.trained:
                workers.bury(study.optuna, study.trials()[0])
            return super().accuracy(values, seed, report)

    work(study, tmp_path, Buried())
    assert study.trials()[0].state == TrialState.FAIL
    assert len(study.complete) == 2


def test_half_a_line_of_a_killed_writer_spoils_nothing(journal, tmp_path):
    work(Study(plan(trials=2), open_storage(journal)), tmp_path)
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":6,"worker_id":"a-b')
    study = Study(plan(trials=4), open_storage(journal))
    work(study, tmp_path)
    assert len(study.complete) == 4
    assert journal.read_bytes().startswith(whole + b"{")
    assert len(Study(plan(trials=4), open_storage(journal)).complete) == 4


def test_something_else_in_the_place_of_the_journal_is_told(journal):
    journal.write_text("no journal\nat all\n")
    with refused("storage.journal") as caught:
        open_storage(journal)
    assert str(caught.value).startswith(f"{journal}:")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nonsense", "is not an address of a database"),
        ("oracel://me:secret@host/db", "oracel://me:***@host/db is not an address of a database that can be used"),
        ("postgresql://me:secret@127.0.0.1:1/db", "postgresql://me:***@127.0.0.1:1/db cannot be used"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_its_password(journal, monkeypatch, address, said):
    monkeypatch.setenv("PAN_OPTUNA_STORAGE", address)
    with pytest.raises(PanError) as told:
        open_storage(journal)
    assert said in str(told.value)
    assert "secret" not in str(told.value) + place(journal)


@pytest.fixture(scope="session")
def postgresql():
    """Address of a real PostgreSQL server on loopback, started for these tests."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    programs = found[-1].parent if found else Path(shutil.which("initdb") or "/nowhere").parent
    if not (programs / "initdb").is_file():
        pytest.skip("PostgreSQL's server is not installed; on Debian: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pan-postgresql-"))
    as_user = []
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    control = [*as_user, str(programs / "pg_ctl"), "-D", str(data), "-w"]
    subprocess.run(
        [*as_user, str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "pan"],
        check=True,
        capture_output=True,
        cwd="/",
    )
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    subprocess.run(
        [*control, "-o", options, "-l", str(folder / "log"), "start"], check=True, capture_output=True, cwd="/"
    )
    yield f"postgresql://pan@127.0.0.1:{port}/postgres"
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True, cwd="/")
    shutil.rmtree(folder, ignore_errors=True)


def test_two_processes_share_the_trials_in_postgresql(postgresql, journal, tmp_path, monkeypatch):
    """Across machines: the journal's folders differ, only the database is common; one of three workers is killed."""
    changes = {"name": "shared", "trials": 8}
    folders = [tmp_path / name for name in "abc"]
    first = start(folders[0] / "journal.log", changes, 5, PAN_OPTUNA_STORAGE=postgresql)
    monkeypatch.setenv("PAN_OPTUNA_STORAGE", postgresql)
    study = Study(plan(**changes), open_storage(journal))
    wait_for(lambda: claimed(study))
    first.kill()
    first.wait()
    others = [start(folder / "journal.log", changes, 0.1, PAN_OPTUNA_STORAGE=postgresql) for folder in folders[1:]]
    outputs = [process.communicate(timeout=200)[0] for process in others]
    assert [process.returncode for process in others] == [0, 0], outputs
    assert len(study.complete) == 8
    assert len({trial.user_attrs["worker"] for trial in study.complete}) >= 2
    assert study.trials(TrialState.FAIL)
    assert not journal.exists()


@pytest.mark.parametrize("database", ["one", "two"])
def test_processes_that_begin_with_an_empty_database_at_once(postgresql, tmp_path, database):
    with closing(psycopg2.connect(postgresql)) as admin:
        admin.autocommit = True
        admin.cursor().execute(f"create database {database}")
    address = f"{postgresql.rpartition('/')[0]}/{database}"
    changes = {"name": "shared", "trials": 4}
    journals = [tmp_path / str(number) / "journal.log" for number in range(4)]
    processes = [start(journal, changes, 0.1, PAN_OPTUNA_STORAGE=address) for journal in journals]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, outputs
