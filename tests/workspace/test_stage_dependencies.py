"""dvc.yaml against what the stages import and read: code by another import graph, defaults by DVC's own verdict."""

import re
import shutil
import sys
from contextlib import chdir
from pathlib import Path

import grimp
import pytest
from ruamel.yaml import YAML

from pan_core.datasets.registry import REGISTRY
from pan_core.stages import STAGES
from pan_core.workspace.stage_dependencies import BY_VALUE, PIPELINE, default_parameters, update

sys.path.insert(0, str(Path(__file__).parent))
from parameters_read import sections_read

ROOT = Path(__file__).parents[2]
MACHINE = {"fetch": {"workers"}, "split": {"workers"}, "pose": {"workers"}, "tune": {"workers"}, "evaluate": {"workers"}, "export": {"workers"},
           "promote": {"workers"}, "relabel": {"train", "workers"}, "train": {"workers"}}  # fmt: skip
"""Read, but no dependency: how many processes and threads work (of `train`, relabel reads `threads` only)."""

DEFAULTS = {
    "AllParams": ("seed: Annotated[int, Field(ge=0, lt=2**32)] = 0", "seed: Annotated[int, Field(ge=0, lt=2**32)] = 1", "seed"),
    "ActorsParams": ("clips_per_group: Positive = 1", "clips_per_group: Positive = 2", "actors"),
    "SurveillanceParams": ('manifest: str = "auto"', 'manifest: str = "list.csv"', "surveillance"),
    "PysklParams": ('layout: str = "coco17"', 'layout: str = "penn13"', "pyskl"),
    "SplitParams": ("folds: Annotated[int, Field(ge=2)] = 3", "folds: Annotated[int, Field(ge=2)] = 4", "split"),
    "PoseParams": ("max_people: Positive = 2", "max_people: Positive = 3", "pose"),
    "RelabelParams": ("min_segment_s: PositiveFloat = 0.6", "min_segment_s: PositiveFloat = 0.7", "relabel"),
    "ValidateParams": ("min_frames: Positive = 8", "min_frames: Positive = 9", "validate"),
    "TuneParams": ("leaders: Positive = 3", "leaders: Positive = 4", "tune"),
    "SPACE": ('"joint_heads": [4, 8]', '"joint_heads": [4, 8, 16]', "tune"),
    "ModelParams": ("hidden: Positive = 192", "hidden: Positive = 128", "model"),
    "TrainParams": ("batch: Annotated[int, Field(ge=2)] = 16", "batch: Annotated[int, Field(ge=2)] = 8", "train"),
    "AugmentationParams": ("mixup: NotNegative = 0.2", "mixup: NotNegative = 0.1", "train"),
    "EvaluateParams": ("min_test_accuracy: Share = 0.0", "min_test_accuracy: Share = 0.1", "evaluate"),
    "ExportParams": ("scenes: Positive = 6", "scenes: Positive = 7", "export"),
    "LatencyParams": ("warmup: Count = 50", "warmup: Count = 40", "latency"),
    "RetrainParams": ("champion: Count = 0", "champion: Count = 1", "retrain"),
    "PromoteParams": ("min_clips: Positive = 20", "min_clips: Positive = 30", "promote"),
    "DriftParams": ("bins: Annotated[int, Field(ge=2, le=100)] = 8", "bins: Annotated[int, Field(ge=2, le=100)] = 9", "drift"),
}  # fmt: skip
"""Class of the schema -> a default, another one, and the section of params.yaml that it belongs to."""


@pytest.fixture(scope="module")
def stages():
    return YAML(typ="safe").load((ROOT / PIPELINE).read_text())["stages"]


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("pan_core", include_external_packages=False)


def listed_code(entry):
    """Modules in the deps of a stage; a folder means all of its modules."""
    found = set()
    for path in (ROOT / dep for dep in entry["deps"] if dep.startswith("pan_core/")):
        found |= {file for file in ([path] if path.is_file() else path.rglob("*.py")) if file.suffix == ".py"}
    return {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in found}


def needed_code(graph, stage):
    """Modules that a stage imports, by grimp, with the packages that they lie in; datasets are imported by name."""
    todo, found = [f"pan_core.stages.{stage}"], set()
    while todo:
        module = todo.pop()
        if module in found or module in BY_VALUE:
            continue
        found.add(module)
        todo += graph.find_modules_directly_imported_by(module)
        todo += [module.rpartition(".")[0]] if "." in module else []
        todo += [name for name, _ in REGISTRY.values()] if module == "pan_core.datasets.registry" else []
        # Run as a script, by its path.
        todo += ["pan_core.runtimes.tensorrt_worker"] if module == "pan_core.runtimes.tensorrt_session" else []
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_modules_that_it_imports_and_on_no_others(stage, stages, graph):
    assert listed_code(stages[stage]) == needed_code(graph, stage)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_parameters_that_it_reads_and_on_no_others(stage, stages):
    named = {name.partition(".")[0] for name in stages[stage].get("params", []) if isinstance(name, str)}
    assert named == sections_read(stage) - MACHINE.get(stage, set())


def test_dvc_yaml_is_as_it_would_be_generated():
    text = (ROOT / PIPELINE).read_text()
    assert update(text) == text


def test_data_files_of_the_package_are_dependencies_of_the_stages_that_read_them(stages):
    def readers(path):
        return {
            name for name, entry in stages.items() if any(f"{path}/".startswith(f"{dep}/") for dep in entry["deps"])
        }

    assert "relabel" in readers("pan_core/datasets/taxonomies")
    assert readers("pan_core/evaluation/report.html.j2") == {"evaluate"}
    assert readers("pan_core/registry/promotion.html.j2") == {"promote"}


class Project:
    """A copy of the pipeline in which every output is there and DVC holds it for up to date."""

    def __init__(self, folder):
        from dvc.repo import Repo

        self.folder, self.schema = folder, folder / "pan_core" / "params" / "schema.py"
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
            shutil.copy2(ROOT / name, folder / name)
        for name in ("pan_core", "edge", "networks", "data/watched"):
            shutil.copytree(ROOT / name, folder / name, ignore=ignored, symlinks=True)
        (folder / "data" / "incoming").mkdir()
        Repo.init(str(folder), no_scm=True).close()
        with chdir(folder), Repo(str(folder)) as repo:
            for out in repo.index.outs:
                path = Path(out.fs_path)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.mkdir() if not path.suffix else path.write_text(path.name)
            (folder / "models" / "pose" / "pose.onnx").write_text("network")
            repo.commit(force=True)

    def stale(self):
        """Stages that DVC would run again."""
        from dvc.repo import Repo

        with Repo(str(self.folder)) as repo:
            return {name.split(":")[-1] for name in repo.status()}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("project"))


def test_nothing_is_stale_in_the_copy(project):
    assert project.stale() == set()


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_changed_default_makes_those_stages_stale_that_read_it(project, name):
    before, after, section = DEFAULTS[name]
    text = project.schema.read_text()
    start = text.index(f"class {name}(") if name != "SPACE" else text.index("SPACE: ")
    at = text.index(before, start)
    project.schema.write_text(text[:at] + after + text[at + len(before) :])
    try:
        if name == "RetrainParams":
            reads = {"drift", "train", "evaluate", "promote"}
        else:
            reads = {stage for stage in STAGES if section in sections_read(stage) - MACHINE.get(stage, set())}
            reads -= narrowed(section, re.split(r"\W", before, maxsplit=1)[0] if name != "SPACE" else "space")
        assert project.stale() == reads
    finally:
        project.schema.write_text(text)


def narrowed(section, field):
    """Stages that read other values of a section only, as dvc.yaml names them one by one."""
    stages = YAML(typ="safe").load((ROOT / PIPELINE).read_text())["stages"]
    found = set()
    for stage, entry in stages.items():
        names = [name for name in entry.get("params", []) if isinstance(name, str)]
        if section not in names and f"{section}.{field}" not in names:
            found.add(stage)
    return found


def test_every_dataset_has_what_fetch_watches():
    assert {path.name for path in (ROOT / "data" / "watched").iterdir()} == set(REGISTRY)


def test_footage_counts_if_it_is_the_dataset(project):
    """With another dataset a new file in the footage folder, or none of the folder, changes nothing."""
    incoming = project.folder / "data" / "incoming"
    (incoming / "new.mp4").write_text("video")
    assert project.stale() == set()
    shutil.rmtree(incoming)
    assert project.stale() == set()
    incoming.mkdir()


def test_defaults_of_single_values():
    assert default_parameters(["latency.budget_step_ms", "seed"]) == {
        "pan_core/params/schema.py": ["AllParams.seed", "LatencyParams.budget_step_ms"]
    }
    assert default_parameters(["dataset"]) == {}
