"""The command line: what ``aotconv`` and ``python -m aotconv`` are told, and which command runs."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from .. import __version__, active, show_config
from .digits import MARK
from .errors import CommandError

INTERRUPTED, CLOSED_PIPE = 128 + 2, 128 + 13  # what shells say of SIGINT and SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line with ``argv`` (default: that of the process); return the exit status."""
    parser = make_parser()
    try:
        try:
            args = parser.parse_args(argv)
            if args.command:
                run(args)
            else:
                parser.print_help()
        finally:
            print(end="", flush=True)  # a pipe that is closed says so here, where it is caught
    except CommandError as error:
        print(f"aotconv: error: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("aotconv: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever reads the output has seen enough, as head has
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):  # or Python complains when it flushes them
            os.dup2(nowhere, stream.fileno())
        return CLOSED_PIPE
    return 0


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aotconv", description="Compiled convolution for NumPy arrays."
    )
    parser.add_argument("--version", action="version", version=f"aotconv {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    info_parser = commands.add_parser(
        "info",
        help="print versions, the CPU, the threads and the implementations (under a second)",
        description="Print versions, the CPU, the threads, which implementations there are, which "
        "of them computes, and why others cannot. It takes under a second.",
    )
    info_parser.add_argument("--json", action="store_true", help="as one JSON object")
    demo_parser = commands.add_parser(
        "demo",
        help="filter a photo, and time aotconv beside NumPy, numba and Keras (half a minute)",
        description="Filter a photo with a bank of filters and draw the feature maps; do so with "
        "filters of aotconv.ndimage, timed beside SciPy's and OpenCV's where these are installed. "
        "Then time aotconv beside the convolutions of the notebook 'Speeding up Convolution'. It "
        "takes about half a minute.",
    )
    demo_parser.add_argument(
        "--image", metavar="FILE", help="the photo (default: the sample photo of matplotlib)"
    )
    demo_parser.add_argument(
        "--out", metavar="DIR", default="aotconv-demo", help="where to write (default: %(default)s)"
    )
    add_bench(commands)
    add_onnx(commands)
    return parser


def add_bench(commands: Any) -> None:
    """Add the benchmark."""
    parser = commands.add_parser(
        "bench",
        help="time aotconv beside what this machine can do and beside other libraries (minutes)",
        description="Time twenty layers of networks and image filters, beside multiply-adds on "
        "registers, copies and other libraries. It takes a minute or two for each number "
        "of threads, three with several peers, and half an hour with --sweep; one of --layers "
        f"takes seconds. The table marks with {MARK} what is uncertain, and says below when the "
        "machine was busy. LIST is names with commas between them.",
    )
    of_what = parser.add_mutually_exclusive_group()
    of_what.add_argument(
        "--board",
        choices=("networks", "wide"),
        help="what is timed: those twenty layers, or what else people convolve: filters of images, "
        "volumes and signals, lines, transposed convolution, gradients, pools (default: networks)",
    )
    of_what.add_argument(
        "--layers",
        type=names,
        metavar="LIST",
        help="names of the boards, or texts. Of a layer such as '1x56x56x64 3x3x64x64 s2 p1': "
        "sizes NxHxWxC of images and KHxKWxIxO of filters, or of one axis fewer or more; then "
        "strides, padding, dilations and groups (s2, s1x2, p1, p0+1x0+1, same, same_lower, valid, "
        "full, causal, d2, g64), a dtype, formats (NCHW, OIHW), and what is computed if it is no "
        "convolution: transposed (filters are KHxKWxOxI), images_gradient, filters_gradient, or of "
        "sizes KHxKW of a window max_pool, average_pool. Of a filter such as '1000x1100 "
        "gaussian_filter sigma2.5': sizes; correlate, correlate1d, gaussian_filter, "
        "uniform_filter, sobel or laplace; sizes of a window, sigma2.5, axes0x1, a mode, dtypes "
        "(uint8, uint8>int16), saturate (default: a whole board)",
    )
    parser.add_argument(
        "--peers",
        type=names,
        metavar="LIST",
        help="libraries to compare with, where they are installed: torch, onnxruntime, openvino, "
        "litert, opencv, scipy, jax, tensorflow (default: none)",
    )
    parser.add_argument(
        "--tflite", metavar="DIR", help="the models for litert, one LAYER.tflite for each layer"
    )
    parser.add_argument(
        "--threads", type=names, metavar="LIST", help="numbers of threads (default: 1 and all)"
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "float64"),
        help="of everything (default: that of each text, else float32; of the sweep: both)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="what each contender computes in each round, at least (default: 0.02; of the sweep: "
        "0.001)",
    )
    parser.add_argument(
        "--sweep",
        action="store_true",
        help="instead of a board, time some thousand layers of odd sizes on one thread, and say "
        "which lose much to the sizes beside them",
    )
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured")
    parser.add_argument("--plot", metavar="FILE", help="draw a chart")


def add_onnx(commands: Any) -> None:
    """Add the command that runs models."""
    parser = commands.add_parser(
        "onnx",
        help="run an ONNX model, and print the time by operator (some seconds)",
        description="Run a model by aotconv.onnx, and by ONNX Runtime where it is installed, by "
        "turns; print how long each takes, how far their results differ, and the time by operator. "
        "It takes some seconds, or as long as two dozen runs of a large model.",
    )
    parser.add_argument("model", metavar="MODEL", help="its file")
    fed = parser.add_mutually_exclusive_group()
    fed.add_argument("--input", metavar="FILE", help="what it is fed: a .npz, arrays by name")
    fed.add_argument(
        "--shape",
        action="append",
        metavar="NAME=SIZES",
        help="the shape of an input, as images=1,3,320,320, which is drawn: numbers from 0 to 1, "
        "whole ones from 0 to 9; once for each input (default: what the model declares, and 1 for "
        "a first size that it leaves open)",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        metavar="N",
        help="runs that are timed, and profiled ones (default: as many as take some seconds)",
    )
    parser.add_argument("--threads", metavar="N", help="for both (default: what aotconv info says)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--no-optimize",
        dest="optimize",
        action="store_false",
        help="compute each node as it stands; ONNX Runtime optimizes still",
    )
    how.add_argument(
        "--algorithm", choices=("auto", "fastest"), default="auto", help="of convolutions"
    )
    parser.add_argument("--nodes", type=int, metavar="N", help="print the slowest nodes, too")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured")


def run(args: argparse.Namespace) -> None:
    """Run the command that was asked for."""
    try:
        active()
    except ValueError as error:  # AOTCONV_IMPLEMENTATION names none that can run
        raise CommandError(str(error)) from None
    if args.command == "info" and args.json:
        print(json.dumps(show_config("dicts"), indent=1))
    elif args.command == "info":
        show_config()
    elif args.command == "demo":
        from . import demo  # here, so that the other commands load none of it

        demo.run(args.image, args.out)
    elif args.command == "onnx":
        from . import onnx_command

        onnx_command.run(
            args.model,
            input_file=args.input,
            shapes=args.shape or (),
            repeats=args.repeats,
            n_threads=args.threads,
            optimize=args.optimize,
            algorithm=args.algorithm,
            nodes=args.nodes,
            json_file=args.json,
        )
    else:
        run_bench(args)


def run_bench(args: argparse.Namespace) -> None:
    """Run the benchmark with what was given of its arguments."""
    from . import bench

    of_board = ("board", "layers", "peers", "threads", "tflite", "plot")
    given = {
        name: getattr(args, name)
        for name in ("dtype", "seconds", *of_board)
        if getattr(args, name) is not None
    }
    if not args.sweep:
        n_threads = given.pop("threads", None)
        bench.run(n_threads=n_threads, json_file=args.json, **given)
        return
    for name in of_board:
        if name in given:
            raise CommandError(f"--sweep: --{name} is for the boards alone")
    if "dtype" in given:
        given["dtypes"] = [given.pop("dtype")]
    bench.run_sweep(json_file=args.json, **given)


def names(text: str) -> list[str]:
    return text.split(",")
