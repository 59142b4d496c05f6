"""The command `session-threads sandbox`."""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp

    from pipelines.sandbox.dialect import Dialect

# What only serving needs is imported in the functions, so that --help is quick.


def explain_faults() -> str:
    """Return the epilogue of the sandbox's help: every kind of fault."""
    from pipelines.sandbox.faults import FAULTS, PASSING

    kinds = "\n".join(f"  {kind:<13} {meaning}" for kind, (meaning, _) in FAULTS.items())
    passing = ", ".join(PASSING)
    return (
        f"\b\nKinds of faults:\n{kinds}\n\nThose of --fault-rate, unless --fault-kind: {passing}."
    )


class SandboxCommand(click.Command):
    """Looks up the kinds of faults when its help is asked for, and no earlier."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the kinds of faults."""
        self.epilog = explain_faults()
        super().format_epilog(ctx, formatter)


def parse_plan(faults: tuple[str, ...]) -> dict[int, str]:
    """Return request number -> kind of faults written as KIND@N or KIND@N-M."""
    from pipelines.sandbox.faults import FAULTS

    plan: dict[int, str] = {}
    for fault in faults:
        match = re.fullmatch(r"(.+)@(\d+)(?:-(\d+))?", fault)
        if match is None or match[1] not in FAULTS:
            raise click.BadParameter(f"{fault!r} is not KIND@N or KIND@N-M.", param_hint="--fault")
        plan |= dict.fromkeys(range(int(match[2]), int(match[3] or match[2]) + 1), match[1])
    return plan


def parse_pairs(
    _: click.Context, option: click.Parameter, pairs: tuple[str, ...]
) -> dict[str, str]:
    """Return name -> value of pairs written as NAME=VALUE."""
    for pair in pairs:
        if not re.fullmatch(r"[^=]+=.+", pair):
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE.", param=option)
    return dict(pair.split("=", 1) for pair in pairs)


def make_dialect(options: dict[str, Any]) -> Dialect:
    """Return the dialect that the options describe."""
    from pipelines.sandbox.dialect import Dialect

    kept = {name: options[name] for name in Dialect.__struct_fields__ if name in options}
    return Dialect(
        **kept, newest_first=options["order"] == "newest", has_cursors=not options["no_cursor"]
    )


def dialect_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how the server differs from the documented one."""
    pairs = partial(click.option, multiple=True, metavar="NAME=VALUE", callback=parse_pairs)
    for option in reversed(
        [
            click.option("--auth", type=click.Choice(["bearer", "x-api-key"]), default="bearer"),
            pairs("--require-header", "headers", help="A header that each request must have."),
            pairs("--require-param", "params", help="A parameter that each request must have."),
            click.option("--page-limit", type=click.IntRange(1), default=100, show_default=True),
            click.option("--clip", "clips", is_flag=True, help="Cut longer pages, do not reject."),
            click.option(
                "--order",
                type=click.Choice(["oldest", "newest"]),
                default="oldest",
                help="Which threads it lists first.",
            ),
            click.option("--no-cursor", is_flag=True, help="Read no cursor, and give none."),
            click.option("--ignore-filter", "ignores_filter", is_flag=True, help="All statuses."),
            click.option("--hide-archived", "hides_archived", is_flag=True, help="List none."),
            click.option("--naive-times", "has_naive_times", is_flag=True, help="No offset."),
            click.option(
                "--growing-stats",
                "has_growing_stats",
                is_flag=True,
                help="Numbers that grow by themselves.",
            ),
            click.option(
                "--agents",
                type=click.Choice(["agent", "advisor", "inline", "template", "flat"]),
                default="agent",
                help="What its agents are.",
            ),
            click.option("--costs-in", metavar="CURRENCY", help="Say costs, in this currency."),
            click.option("--newest-only", type=click.IntRange(1), help="List so many, no more."),
        ]
    ):
        command = option(command)
    return command


@contextmanager
def serve_or_reject(app: ASGIApp, port: int) -> Iterator[str]:
    """Serve, or say that the port is taken."""
    from pipelines.sandbox.server import serve

    with ExitStack() as stack:
        try:
            base_url = stack.enter_context(serve(app, port))
        except OSError as error:
            raise click.BadParameter(f"{port}: {error.strerror}.", param_hint="--port") from None
        yield base_url


@click.command(cls=SandboxCommand)
@click.option("--port", type=click.IntRange(0, 65535), default=8321, show_default=True)
@click.option("--sessions", type=click.IntRange(1, 10_000), default=12, show_default=True)
@click.option(
    "--threads",
    type=click.IntRange(1, 100_000),
    default=300,
    show_default=True,
    help="Size of the largest session.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--revision", type=click.Choice(["a", "b"]), default="a", show_default=True)
@click.option(
    "--turn",
    type=click.FloatRange(0, min_open=True),
    default=60,
    show_default=True,
    help="Mean length of a turn in seconds.",
)
@click.option("--fault", "faults", multiple=True, metavar="KIND@N", help="Fault of request N.")
@click.option(
    "--fault-rate", type=click.FloatRange(0, 1), default=0, help="Share of requests that fail."
)
@click.option("--fault-kind", "kinds", multiple=True, metavar="KIND", help="How they fail.")
@dialect_options
def sandbox(port: int, faults: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401 - click's
    """Serve a made-up fleet on loopback, until Ctrl-C.

    It behaves well, unless faults are asked for.
    Its OpenAPI document is at /openapi.json; POST /sandbox/advance {"seconds": n} moves its clock.
    --fault 503@2-4 answers the second to fourth request for threads with 503.
    """
    import signal
    import threading

    from pipelines.sandbox.faults import FAULTS, PASSING, Faulty
    from pipelines.sandbox.server import TOKEN, Sandbox
    from pipelines.sandbox.world import World, draw_sizes

    kinds, seed = options["kinds"] or PASSING, options["seed"]
    if unknown := set(kinds) - set(FAULTS):
        raise click.BadParameter(f"{min(unknown)!r} is no kind.", param_hint="--fault-kind")
    sizes = draw_sizes(options["sessions"], options["threads"], seed)
    world = World(sizes, seed=seed, revision=options["revision"], turn_s=options["turn"])
    app = Sandbox(world, dialect=make_dialect(options)).app
    plan, rate = parse_plan(faults), options["fault_rate"]
    faulty = Faulty(app, plan, rate=rate, kinds=kinds, seed=seed) if plan or rate else app
    with serve_or_reject(faulty, port) as url:
        click.echo(f"export QODER_BASE_URL={url}")
        click.echo(f"export QODER_PAT={TOKEN}")
        click.echo(f"export QODER_SESSION_IDS={','.join(world.sessions)}")
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        stop.wait()
