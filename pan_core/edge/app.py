"""`pan-edge`, the command line of a bundle: runs on the device, without torch."""

import argparse
import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

# As for `pan`: the libraries' thread pools compete for the same cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from pan_core.edge.bundle_manifest import BundleManifest
from pan_core.errors import PanError

if TYPE_CHECKING:
    from pan_core.recognition.recognizer import Recognizer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    asked = _build_parser().parse_args(arguments)
    try:
        # Verify the bundle before any other module of it is imported.
        BundleManifest.read(asked.bundle)
        return asked.command(asked)
    except PanError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pan-edge", description="Recognises actions on this device.")
    parser.add_argument("--bundle", type=Path, default=Path(__file__).parents[2], help=argparse.SUPPRESS)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="recognise the people in a video, or before a camera as long as it runs")
    run.add_argument("source", help="video file, number of a camera such as 0, or address such as rtsp://host/path")
    run.add_argument(
        "--out", type=Path, default=Path("predictions"), help="folder for timeline and annotated copy of a video"
    )
    run.add_argument("--events", type=Path, help="of a camera: file to which events are appended, as lines of JSON")
    run.add_argument(
        "--event", action="append", default=[], metavar="ACTION[=THRESHOLD]",
        help="of a camera: an action that is an event, and from which probability; as the recognizer has it if left out",
    )  # fmt: skip
    run.set_defaults(command=_run)

    bench = commands.add_parser("bench", help="measure latency, and write the result that `pan edge import` takes")
    bench.add_argument(
        "--profile", choices=("full", "short"), default="full", help="gates need full; short is for a quick look"
    )
    bench.add_argument("--video", type=Path, help="a video of one person; the bundle's own if left out")
    bench.add_argument("--out", type=Path, default=Path("result.json"), help="file of the result")
    bench.set_defaults(command=_bench)

    check = commands.add_parser(
        "check", help="compare the networks, as they run here, with those that they were made from"
    )
    check.set_defaults(command=_check)
    for command in (run, bench, check):
        command.add_argument(
            "--any-device", action="store_true", help="run also on a machine that the bundle was not made for"
        )
    return parser


def _run(asked: argparse.Namespace) -> int:
    from pan_core.edge.bundled import open_bundle  # late: needs a verified bundle
    from pan_core.live.address import Kind, read_address  # late: needs a verified bundle

    kind = read_address(asked.source).kind
    recognizer = open_bundle(asked.bundle, any_device=asked.any_device).recognizer
    return _run_video(asked, recognizer) if kind is Kind.FILE else _run_live(asked, recognizer)


def _run_video(asked: argparse.Namespace, recognizer: "Recognizer") -> int:
    from pan_core.files import require_output_folder  # late: needs a verified bundle
    from pan_core.recognition.result_files import timeline_file  # late: needs a verified bundle
    from pan_core.viewer.captions import NOTHING  # late: needs a verified bundle

    video = Path(asked.source)
    require_output_folder(asked.out)
    prediction = recognizer.predict(video, out=asked.out)
    for person in prediction.people:
        print(
            f"person {person.id}: {person.label or NOTHING} ({person.confidence:.0%}), {person.start_s:.1f} s to {person.end_s:.1f} s"
        )
    if prediction.reason:
        print(prediction.reason)
    print(f"written: {timeline_file(asked.out / str(prediction.annotated))}")
    return 0


def _run_live(asked: argparse.Namespace, recognizer: "Recognizer") -> int:
    from pan_core.live.sinks import EventWriter, JsonLines  # late: needs a verified bundle
    from pan_core.live.terminal import watch_here  # late: needs a verified bundle
    from pan_core.recognition.event_rules import describe_rules, read_rules  # late: needs a verified bundle

    rules = read_rules(asked.event, recognizer.network.actions)
    sinks = [JsonLines(asked.events)] if asked.events else []
    with EventWriter(sinks) as writer:
        say = functools.partial(print, flush=True)
        say(f"recognizer: {recognizer.name}")
        say(describe_rules(recognizer.rules))
        say(watch_here(asked.source, lambda: recognizer, say=say, put_event=writer.put, rules=rules))
    return 0


def _bench(asked: argparse.Namespace) -> int:
    from pan_core.edge.bench import PROFILES, bench  # late: needs a verified bundle
    from pan_core.edge.bundled import open_bundle  # late: needs a verified bundle
    from pan_core.edge.result import describe, write_result  # late: needs a verified bundle

    bundle = open_bundle(asked.bundle, any_device=asked.any_device)
    result = bench(bundle, PROFILES[asked.profile], video=asked.video, progress=lambda text: print(text, flush=True))
    write_result(asked.out, result)
    print(describe(result))
    print(f"written: {asked.out}")
    return 0


def _check(asked: argparse.Namespace) -> int:
    from pan_core.edge.bundled import open_bundle  # late: needs a verified bundle
    from pan_core.edge.device import emulated  # late: needs a verified bundle

    report = open_bundle(asked.bundle, any_device=asked.any_device).check()
    if emulated():
        print("on an emulated processor: outputs count, time does not")
    print(
        f"step: differs from torch by {report.step_difference:.1e} on {report.steps} frames of {len(report.streams)} streams\n"
        f"pose: {report.pose_output} differs by {report.pose_difference:.1e} of its largest value on {report.crops} runs of the networks\n"
        f"recognised: {report.accuracy:.1%} of {report.clips} test clips, torch {report.torch_accuracy:.1%}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
