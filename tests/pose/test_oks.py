"""OKS and average precision against COCO's own evaluation, and by hand."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from refusals import refused

from pan_core.pose.oks import AnnotatedPicture, average_precision, similarities
from pan_core.skeletons import COCO17, OPENPOSE18, convert


def scenes(seed: int, *, spread: float, missed: float) -> list[AnnotatedPicture]:
    """Pictures with up to four people, found with some error, some of them not, and some who are not there."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(12):
        count = int(rng.integers(0, 5))
        truth = np.concatenate([rng.uniform(0, 200, (count, 17, 2)), rng.integers(0, 3, (count, 17, 1))], axis=2)
        truth[:, 0, 2] = 2
        found = truth[rng.random(count) > missed] + rng.normal(0, spread, (1, 17, 3))
        found = np.concatenate([found, rng.uniform(0, 200, (int(rng.integers(0, 3)), 17, 3))])
        found[..., 2] = rng.uniform(0.1, 0.9, found.shape[:2])
        made.append(AnnotatedPicture(found, truth, rng.uniform(3000, 9000, count)))
    return made


def judged_by_coco(pictures: list[AnnotatedPicture]) -> float:
    truth: dict = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    results = []
    for number, scene in enumerate(pictures, start=1):
        truth["images"].append({"id": number})
        for joints, area in zip(scene.truth, scene.areas, strict=True):
            truth["annotations"].append({
                "id": len(truth["annotations"]) + 1, "image_id": number, "category_id": 1, "iscrowd": 0, "area": area,
                "bbox": [0, 0, 200, 200], "keypoints": joints.ravel().tolist(),
                "num_keypoints": int((joints[:, 2] > 0).sum()),
            })  # fmt: skip
        for joints in scene.found:
            score = float(joints[:, 2].mean())
            results.append({"image_id": number, "category_id": 1, "keypoints": joints.ravel().tolist(), "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(results), "keypoints")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0])


@pytest.mark.parametrize(("seed", "spread", "missed"), [(0, 2, 0), (1, 6, 0.2), (2, 10, 0.4), (3, 16, 0.1)])
def test_as_coco_judges(seed: int, spread: float, missed: float) -> None:
    pictures = scenes(seed, spread=spread, missed=missed)
    found = average_precision(pictures, COCO17)
    assert 0 < found < 1
    assert found == pytest.approx(judged_by_coco(pictures), abs=1e-9)


def test_by_hand() -> None:
    """A nose off by twice its sigma, on a person of 100 x 100 pixels, is exp(-(2s)^2 / (2 (2s)^2)) = exp(-1/2) alike."""
    truth = np.zeros((1, 17, 3))
    truth[0, 0] = 50, 50, 2
    truth[0, 5] = 80, 80, 2
    found = truth.copy()
    found[0, 0, 0] += 2 * 0.026 * 100
    scene = AnnotatedPicture(found, truth, np.array([100.0 * 100.0]))
    assert similarities(scene, COCO17)[0, 0] == pytest.approx((np.exp(-0.5) + 1) / 2)
    found[0, 5, 2] = 0  # a joint that was not found does not help
    assert similarities(scene, COCO17)[0, 0] == pytest.approx(np.exp(-0.5) / 2)


def test_the_neck_does_not_count_and_the_order_of_joints_does_not_matter() -> None:
    pictures = scenes(1, spread=6, missed=0.2)
    turned = [
        AnnotatedPicture(convert(one.found, COCO17, OPENPOSE18), convert(one.truth, COCO17, OPENPOSE18), one.areas)
        for one in pictures
    ]
    for one, other in zip(pictures, turned, strict=True):
        np.testing.assert_allclose(similarities(one, COCO17), similarities(other, OPENPOSE18))


def test_nobody_to_find() -> None:
    with refused("oks.no-truth"):
        average_precision([AnnotatedPicture(np.empty((0, 17, 3)), np.empty((0, 17, 3)), np.empty(0))], COCO17)
