"""`pan watch` and `pan serve`: recognition of live video. Imports are late: start-up."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from pan_core.cli.options import Blur, ChampionOf, Quality, RecognizerOption, SkeletonOnly, scene_of
from pan_core.errors import PanError

if TYPE_CHECKING:
    from pan_core.live.access import Access
    from pan_core.live.events import Event
    from pan_core.live.picture import SceneStyle
    from pan_core.live.source import Source
    from pan_core.recognition.event_rules import Rules
    from pan_core.recognition.recognizer import Recognizer

SPOOL = Path("events-waiting")

Action = Annotated[
    list[str] | None,
    typer.Option(
        "--event",
        metavar="ACTION[=THRESHOLD]",
        help="An action that is an event, and the probability from which it is in place of the fitted one; may be repeated. All where left out. An action's own name may have =.",
    ),
]
Minimum = Annotated[
    float | None,
    typer.Option(help="Seconds for which every action must hold to be an event, in place of the fitted ones."),
]
Events = Annotated[
    list[Path] | None,
    typer.Option("--events", help="File to which events are appended: .jsonl or .csv; may be repeated."),
]
Hook = Annotated[
    str | None, typer.Option(help="Address to which each event is posted; ${NAME} is taken from the environment.")
]
Spool = Annotated[Path, typer.Option(help="Folder in which events wait for the webhook.")]
People = Annotated[int | None, typer.Option(min=1, help="Most people followed at a time.")]


def watch(
    source: Annotated[
        str,
        typer.Argument(
            help="Video, folder of videos, number of a camera, rtsp:// or http:// address; NAME=... gives it a name."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Annotated video to write.")] = None,
    window: Annotated[bool, typer.Option("--window", help="Show it in a window.")] = False,
    event: Action = None,
    minimum_s: Minimum = None,
    events: Events = None,
    webhook: Hook = None,
    spool: Spool = SPOOL,
    blur: Blur = False,
    skeleton_only: SkeletonOnly = False,
    quality: Quality = None,
    people: People = None,
    model: RecognizerOption = None,
    dataset: ChampionOf = None,
) -> None:
    """Watch a source: captions and events as lines; Ctrl+C ends it."""
    from pan_core.live.terminal import choose_video_file, watch_here
    from pan_core.recognition.event_rules import describe_rules, read_rules

    scene = scene_of(blur, skeleton_only)
    out = choose_video_file(out, source) if out else None
    with ended_by_sigterm(), ExitStack() as stack:
        put = _writer(stack, events, webhook, spool)
        get_recognizer = _recognizer_getter(stack, model, dataset, quality, people)
        rules = read_rules(event or (), get_recognizer().network.actions, minimum_s=minimum_s)
        typer.echo(f"recognizer: {get_recognizer()}")
        typer.echo(describe_rules(get_recognizer().rules))
        typer.echo(
            watch_here(
                source, get_recognizer, say=typer.echo, put_event=put, rules=rules, scene=scene, window=window, out=out
            )
        )


def serve(
    sources: Annotated[
        list[str] | None, typer.Argument(help="As for `pan watch`; several make a grid. None: uploads only.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine need the token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 8700,
    token: Annotated[
        str | None,
        typer.Option(envvar="PAN_TOKEN", help="Who has it is let in; made up where the page is served to others."),
    ] = None,
    event: Action = None,
    minimum_s: Minimum = None,
    events: Events = None,
    webhook: Hook = None,
    spool: Spool = SPOOL,
    blur: Blur = False,
    skeleton_only: SkeletonOnly = False,
    quality: Quality = None,
    people: People = None,
    model: RecognizerOption = None,
    dataset: ChampionOf = None,
) -> None:
    """Watch sources on a page: skeletons, captions, attention, events, and uploads of videos."""
    from pan_core.live.server import listen, run
    from pan_core.live.source import Source
    from pan_core.recognition.event_rules import describe_rules, read_rules

    scene = scene_of(blur, skeleton_only)
    opened = [Source(source) for source in sources or []]
    token, made_up = _choose_token(token, host)
    door = listen(host, port)
    with ended_by_sigterm(), ExitStack() as stack:
        put = _writer(stack, events, webhook, spool)
        get_recognizer = _recognizer_getter(stack, model, dataset, quality, people)
        rules = read_rules(event or (), get_recognizer().network.actions, minimum_s=minimum_s)
        page = _page(stack, opened, get_recognizer, rules, put, scene=scene, token=token)
        typer.echo(f"recognizer: {get_recognizer()}")
        typer.echo(describe_rules(get_recognizer().rules))
        shown = f"[{host}]" if ":" in host else host
        typer.echo(f"page: http://{shown}:{door.getsockname()[1]}/{f'?token={made_up}' if made_up else ''}")
        run(page, door)


def _choose_token(token: str | None, host: str) -> tuple[str | None, str | None]:
    """The token that lets visitors in, and the same if it was made up here because the page is served to others."""
    import secrets

    from pan_core.live.access import is_loopback, require_token

    if token is None:
        token = os.environ.get("PAN_TOKEN")  # an empty one counts for typer as none
    require_token(token)
    made_up = secrets.token_urlsafe(24) if token is None and not is_loopback(host) else None
    return token or made_up, made_up


def _page(
    stack: ExitStack,
    sources: "Sequence[Source]",
    get_recognizer: "Callable[[], Recognizer]",
    rules: "Rules",
    put: "Callable[[Event], None]",
    *,
    scene: "SceneStyle",
    token: str | None,
) -> "Access":
    """The application of the page, with cameras and uploads that end with the stack."""
    from pan_core.live.camera import Camera
    from pan_core.live.server import application
    from pan_core.live.uploads import Uploads

    cameras = [Camera(source, get_recognizer, rules=rules, put_event=put) for source in sources]
    for camera in cameras:
        stack.enter_context(camera)
    uploads = stack.enter_context(Uploads(get_recognizer, scene=scene))
    return application(cameras, get_recognizer, uploads, scene=scene, token=token)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl+C does, so that events, uploads and cameras are put in order."""

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is put in order is not broken off
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _writer(
    stack: ExitStack, files: Sequence[Path] | None, webhook: str | None, spool: Path
) -> "Callable[[Event], None]":
    """Takes events to the files and the webhook that were asked for."""
    from pan_core.live.address import with_variables
    from pan_core.live.sinks import CsvTable, EventWriter, JsonLines, Sink
    from pan_core.live.webhook import Webhook

    sinks: list[Sink] = []
    for path in files or []:
        if path.suffix not in (".jsonl", ".csv"):
            raise PanError(f"--events {path}: expected a file that ends in .jsonl or .csv", code="cli.events")
        sinks.append(JsonLines(path) if path.suffix == ".jsonl" else CsvTable(path))
    if webhook:
        sinks.append(Webhook(with_variables(webhook), spool))
    return stack.enter_context(EventWriter(sinks)).put


def _recognizer_getter(
    stack: ExitStack, model: str | None, dataset: str | None, quality: str | None, people: int | None
) -> "Callable[[], Recognizer]":
    """The recognizer that was named, or the champion, which may change."""
    from pan_core.live.model_reloader import ModelReloader
    from pan_core.workspace.recognizers import champion_version, dataset_in_use, get_recognizer

    # The dataset is fixed now: params.yaml may be about another one tomorrow. For a recognizer that was named it is not read.
    fallback, dataset = dataset is None, dataset or (None if model else dataset_in_use())

    def load() -> "Recognizer":
        return get_recognizer(model, dataset, quality=quality, people=people, fallback=fallback)

    if model:
        fixed = load()
        return lambda: fixed
    return stack.enter_context(ModelReloader(lambda: champion_version(dataset), load))
