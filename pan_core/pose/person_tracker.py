"""Follow several people through a video, one frame at a time.

The whole frame is searched at intervals. Between searches, each person is looked at in a square crop at the position
predicted from recent frames, which is cheaper and finds more joints. Between looks, optical flow carries the joints on
as long as it can be trusted. Nothing looks ahead, so a file and a camera go through the same code.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pan_core.pose.association import are_same, distinct, without_joints_outside
from pan_core.pose.crops import square_around
from pan_core.pose.estimation import Estimator
from pan_core.pose.flow import GreyFrame, follow_joints, with_neighbours
from pan_core.pose.followed_person import GATE_LIMIT, Track, hand_over, note_surroundings
from pan_core.pose.tracks import person_scores
from pan_core.timing import part

# If optical flow keeps a smaller share of a person's joints, the network looks at the person. One joint may go.
SURE_FLOW = 0.94
# Share of the lowest score of a new person that keeps a person who is followed already.
KEEP_SHARE = 0.5
# Frames for which a lost person is also looked for in turned crops: most are lost when they fall or bend down.
RETRY_FRAMES = 4
# A person who scores less may be lying. After the first such look, and after every second one that follows it, crops turned both ways are tried.
FAINT_SCORE = 0.4
FAINT_TURN_EVERY = 2
# A person lost for more frames is no longer looked for in a crop, but recognised if a search finds them again.
CROP_FRAMES = 10
# While a person is lost, searches come this many times more often.
LOST_SEARCH_FACTOR = 3
# If all places are taken, a person whose score is this many times higher replaces the weakest track.
REPLACE_RATIO = 1.5
# Frames for which a track without a person is kept: 2 s at 22.5 frames a second, the highest rate at the default of 15 (a step is rounded).
KEEP_LOST = 45
# Below this score things such as towels, and parts of people, are found, too. A scene that shows nobody surer is searched as if it were
# empty, and somebody whom only a look into another's crop found needs it to start a track.
SURE_SCORE = 0.3
# While nobody is seen for sure, every second frame is searched. That is a glance, which is cheap; after every third one follows a
# close search, for people who are small, in turn also for those who lie or tumble. Most cameras see nobody most of the time.
EMPTY_SEARCH_EVERY = 2
EMPTY_CLOSE_EVERY = 3
EMPTY_SEARCH_TURNS = (0, 1, 3, 2)
# While somebody is seen, every Nth search is a close one.
CLOSE_SEARCH_EVERY = 4


class PersonTracker:
    """Online tracker; feed it frames with `update`.

    Args:
        estimator: Finds people in frames and crops.
        max_people: Most people followed at a time.
        min_person_score: Lowest score of a person to start a track (`person_scores`); half of it keeps one.
        search_every: Frames between two searches of the whole frame; if a person is lost, a search follows at once.
        keep_lost: Frames for which a track without a person is kept.
        look_every: Frames between two looks at a person; optical flow carries the joints over those between.
        keep_missed: Whether joints that a look misses are kept where optical flow still follows them.
    """

    def __init__(
        self,
        estimator: Estimator,
        *,
        max_people: int,
        min_person_score: float,
        search_every: int,
        keep_lost: int = KEEP_LOST,
        look_every: int = 1,
        keep_missed: bool = True,
    ) -> None:
        self._estimator = estimator
        self._max_people = max_people
        self._min_score = min_person_score
        self._search_every = search_every
        self._keep_lost = keep_lost
        self._look_every = look_every
        self._carries = keep_missed or look_every > 1
        self._keep_missed = keep_missed
        self._before: GreyFrame | None = None
        self._tracks: list[Track] = []
        self._started = 0
        self._since_search = search_every
        self._empty_searches = 0
        self._searches = 0
        self._beside: list[np.ndarray] = []

    def update(self, frame: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """People in the next frame.

        Args:
            frame: (H, W, 3) uint8, BGR.

        Returns:
            Track number and joints (V, 3) in pixels, of every person seen in this frame; x, y are NaN and the score
            is 0 where a joint was not found.
        """
        self._follow(frame)
        self._since_search += 1
        just_lost = any(track.unseen == 1 for track in self._tracks)
        if just_lost or self._since_search >= self._search_interval():
            self._search(frame)
            self._since_search = 0
            self._empty_searches = 0 if self._sees_somebody() else self._empty_searches + 1
        self._tracks = [track for track in self._tracks if track.unseen <= self._keep_lost]
        self._start_beside(frame)
        note_surroundings(self._tracks, frame)
        return [(track.track_id, track.joints) for track in self._tracks if not track.unseen]

    def _sees_somebody(self) -> bool:
        """Whether the current frame shows somebody who surely is a person."""
        return any(not track.unseen and person_scores(track.joints) >= SURE_SCORE for track in self._tracks)

    def _search_interval(self) -> int:
        """Frames from one search to the next."""
        if not self._sees_somebody():
            return min(EMPTY_SEARCH_EVERY, self._search_every)
        lost = any(track.unseen for track in self._tracks)
        return max(1, self._search_every // LOST_SEARCH_FACTOR) if lost else self._search_every

    def _follow(self, frame: np.ndarray) -> None:
        """Look for the person of every track in its crop."""
        seen = [track for track in self._tracks if not track.unseen]
        for track in self._tracks:
            track.advance()
        if self._carries:
            self._carry(frame, seen)
        self._beside = []
        self._look(frame, [track for track in self._tracks if 0 < track.unseen <= CROP_FRAMES], turns=(0,))
        self._look(
            frame,
            [
                track
                for track in self._tracks
                if 0 < track.unseen <= RETRY_FRAMES and not track.is_crowded(self._tracks)
            ],
            turns=(1, 2, 3),
        )

    def _carry(self, frame: np.ndarray, tracks: list[Track]) -> None:
        """Carry the joints of some tracks on by optical flow; a track that is due, or that loses joints, is left for a look."""
        with part("flow"):
            now = GreyFrame.of(frame)
            moved = (
                follow_joints(self._before, now, np.stack([track.joints for track in tracks]))
                if tracks and self._before
                else None
            )
        if moved is not None:
            poses, kept = moved
            for track, pose, share in zip(tracks, without_joints_outside(poses, frame), kept, strict=True):
                carried = without_joints_outside(with_neighbours(track.joints, pose), frame)
                sure = share >= SURE_FLOW and person_scores(carried) >= self._min_score * KEEP_SHARE
                if sure and track.carried < self._look_every - 1:
                    track.carry(carried)
                elif self._keep_missed:
                    track.moved = pose
        self._before = now

    def _look(self, frame: np.ndarray, tracks: list[Track], *, turns: tuple[int, ...]) -> None:
        """Look for the people of some tracks in their crops, turned further by each of `turns`."""
        squares = [replace(track.square, turn=(track.square.turn + turn) % 4) for track in tracks for turn in turns]
        seen = self._estimator.look(frame, squares)
        if turns == (0,):
            seen = [*seen, *self._look_turned(frame, tracks, seen)]
        if seen:
            people = without_joints_outside(np.concatenate(seen), frame)
            people = self._drop_followed(people[person_scores(people) >= self._min_score * KEEP_SHARE])
            left = hand_over(tracks, distinct(people), frame=frame, gates=[track.gate for track in tracks])
            if turns == (0,):
                self._beside += list(left)

    def _look_turned(self, frame: np.ndarray, tracks: list[Track], seen: Sequence[np.ndarray]) -> list[np.ndarray]:
        """People in turned crops of the tracks whose people scored low; `seen` has the people in each track's crop.

        Those less sure than the upright ones are left out: two poses of one person would make two tracks of them.
        """
        squares, least = [], []
        for track, people in zip(tracks, seen, strict=True):
            score = person_scores(people).max(initial=0.0)
            track.faint_looks = track.faint_looks + 1 if 0 < score < FAINT_SCORE else 0
            if track.faint_looks % FAINT_TURN_EVERY == 1:
                squares += [replace(track.square, turn=(track.square.turn + turn) % 4) for turn in (1, 3)]
                least += [score] * 2
        looks = self._estimator.look(frame, squares)
        return [people[person_scores(people) >= score] for people, score in zip(looks, least, strict=True)]

    def _search(self, frame: np.ndarray) -> None:
        """Find people who are not followed in the whole frame, and look at each of them closely."""
        found, turn = self._find(frame)
        found = self._drop_followed(found)[: self._max_people]
        if not len(found):
            return
        # A search that looks into crops has looked at them already; whoever is faint may look better in the middle of a crop.
        unsure = [one for one in found if not self._estimator.searches_crops or person_scores(one) < FAINT_SCORE]
        close = self._estimator.look(frame, [square_around(person, turn=turn) for person in unsure])
        people = without_joints_outside(np.concatenate([found, *close]), frame)
        people = distinct(people[person_scores(people) >= self._min_score])
        people = self._drop_followed(people)
        lost = [track for track in self._tracks if track.unseen]
        for person in hand_over(lost, people, frame=frame, gates=[GATE_LIMIT] * len(lost)):
            self._start(person, turn=turn, frame=frame)

    def _find(self, frame: np.ndarray) -> tuple[np.ndarray, int]:
        """People in the whole frame who score high enough to start a track, and the turn in which they were found."""
        self._searches += 1
        if self._sees_somebody():
            closely = self._searches % CLOSE_SEARCH_EVERY == 0
            return self._filter_sure(self._estimator.search(frame, closely=closely)), 0
        # Who comes into an empty scene, or begins a clip, should not wait. A glance finds large people whom a close search misses.
        found = self._filter_sure(self._estimator.search(frame, closely=False))
        rounds, wait = divmod(self._empty_searches, EMPTY_CLOSE_EVERY)
        just_lost = bool(self._tracks) and self._empty_searches == 0
        # Somebody faint may be a thing, beside a person whom only a close search finds.
        if (person_scores(found) >= SURE_SCORE).any() or wait or just_lost:
            return found, 0
        turn = EMPTY_SEARCH_TURNS[rounds % len(EMPTY_SEARCH_TURNS)]
        return self._filter_sure(self._estimator.search(frame, turn=turn, closely=True)), turn

    def _filter_sure(self, people: np.ndarray) -> np.ndarray:
        """People who score high enough to start a track."""
        return people[person_scores(people) >= self._min_score]

    def _start_beside(self, frame: np.ndarray) -> None:
        """Follow the people whom looks for others found, as far as there is room."""
        if self._beside:
            people = self._drop_followed(np.stack(self._beside))
            people = people[person_scores(people) >= max(SURE_SCORE, self._min_score)]
            lost = [track for track in self._tracks if track.unseen]
            left = hand_over(lost, people, frame=frame, gates=[GATE_LIMIT] * len(lost))
            for person in left[: self._max_people - len(self._tracks)]:
                self._start(person, turn=0, frame=frame)

    def _drop_followed(self, people: np.ndarray) -> np.ndarray:
        """People whom no track has found in this frame."""
        seen = [track.joints for track in self._tracks if not track.unseen]
        if not seen:
            return people
        return people[~are_same(people, np.stack(seen)).any(axis=1)]

    def _start(self, person: np.ndarray, *, turn: int, frame: np.ndarray) -> None:
        if len(self._tracks) >= self._max_people:
            weakest = min(self._tracks, key=lambda track: (-track.unseen, float(person_scores(track.joints))))
            better = person_scores(person) >= REPLACE_RATIO * person_scores(weakest.joints)
            if not better and weakest.unseen <= RETRY_FRAMES:
                return
            self._tracks.remove(weakest)
        track = Track(self._started, person, square_around(person, turn=turn))
        track.learn_clothing(frame)
        self._tracks.append(track)
        self._started += 1
