"""The commands and their help texts; the work is done in the modules beside this one."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pstructs._cli.errors import FAILED, expected, message

__all__ = ["app"]


class Format(StrEnum):
    """Formats of `pstructs import`."""

    csv = "csv"
    json = "json"
    ndjson = "ndjson"


class Side(StrEnum):
    """Who wins where both sides of a merge changed one place."""

    ours = "ours"
    theirs = "theirs"


class Group(TyperGroup):
    """Turns the errors of the library into one line on stderr and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if ctx.params.get("traceback") or not expected(error):
                raise
            sys.stderr.write(message(error) + "\n")
            raise typer.Exit(FAILED) from None


app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with **pstructs demo**, or with **pstructs import FILE STORE**.",
)

Store = Annotated[Path, typer.Argument(metavar="STORE", help="Folder of the store.")]
Head = Annotated[str, typer.Option(help="Name of the line of versions.")]
Limit = Annotated[int, typer.Option(min=1, help="Show at most this many.")]
VERSION = "a version's number as `log` lists them, or `main` for the newest, `main~3` for 3 before"
At = Annotated[str, typer.Option(metavar="VERSION", help=VERSION)]
Delete = Annotated[bool, typer.Option("--delete", help="Delete the name; versions stay.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        import pstructs

        typer.echo(f"pstructs {pstructs.__version__}")
        raise typer.Exit()


@app.callback()
def top(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where in the code an error came from.")
    ] = False,
) -> None:
    """Maps that remember: keep every version of a table of records in one small store.

    A **store** is a folder that holds the versions of your data. Each version is
    complete, yet saving one writes only what changed. Import a file, change it, import it again:
    then look at any version, and at the difference between any two.
    """


@app.command(rich_help_panel="Start here")
def demo(
    input: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Use the records of this CSV, JSON or NDJSON file instead of the Unicode "
            "character database.",
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Make the store in this new folder. Default: demo-store here, or demo-store-2 "
            "and so on if that is taken.",
        ),
    ] = None,
    versions: Annotated[
        int, typer.Option(min=1, help="How many edits to make and save, one version each.")
    ] = 1000,
    no_ray: Annotated[
        bool, typer.Option("--no-ray", help="Leave out the part with Ray workers.")
    ] = False,
) -> None:
    """See it all at work on real data, in about a minute.

    Takes every named character of Unicode (about 150,000 records), saves 1,000 versions of it,
    undoes, reopens it in a new process, and shares it with Ray workers. Each answer is checked
    against plain Python, and one table shows time, bytes and memory beside the same work with
    dict and pickle. The store stays, for you to look around in.
    """
    from pstructs._cli.demo import run

    run(input=input, store=store, versions=versions, use_ray=not no_ray)


@app.command("import", rich_help_panel="Start here")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, JSON or NDJSON, in UTF-8.")],
    store: Annotated[
        Path, typer.Argument(metavar="STORE", help="Folder of the store; made if it is new.")
    ],
    key: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column that names a record. Default: the first."),
    ] = None,
    format: Annotated[
        Format | None, typer.Option(help="Default: what the file's name ends in.")
    ] = None,
    head: Head = "main",
    message: Annotated[str | None, typer.Option(help="A note to keep with the version.")] = None,
    ordered: Annotated[
        bool | None,
        typer.Option(
            "--sorted/--unsorted",
            help="Keep the records in the order of their keys. Default: as the version before.",
        ),
    ] = None,
) -> None:
    """Save the records of a file as a new version.

    CSV needs a first line that names the columns. JSON is an array of objects, or one object
    whose values are the records. NDJSON is one object a line. Where a key comes twice the last
    record wins, and you are told. If any line is bad nothing is imported.

    Import a changed file into the same store to get the next version: only the changes are
    written.
    """
    from pstructs._cli.importing import import_file

    import_file(
        file,
        store,
        key=key,
        format=format.value if format else None,
        head=head,
        message=message,
        ordered=ordered,
    )


@app.command(rich_help_panel="Look into a store")
def log(store: Store, head: Head = "main", limit: Limit = 20) -> None:
    """List the versions of a store, newest first."""
    from pstructs._cli.looking import log_versions

    log_versions(store, head=head, limit=limit)


@app.command(rich_help_panel="Look into a store")
def show(
    store: Store,
    version: Annotated[str, typer.Argument(metavar="[VERSION]", help=VERSION)] = "main",
    key: Annotated[str | None, typer.Option(help="Show the record with this key only.")] = None,
    limit: Limit = 10,
) -> None:
    """Show a version: what it is, and its first records, or the one with a key."""
    from pstructs._cli.looking import show_version

    show_version(store, version, key=key, limit=limit)


@app.command(rich_help_panel="Look into a store")
def diff(
    store: Store,
    a: Annotated[str, typer.Argument(metavar="A", help=f"The old one: {VERSION}.")],
    b: Annotated[str, typer.Argument(metavar="B", help=f"The new one: {VERSION}.")],
    limit: Limit = 20,
) -> None:
    """Show what changed from version A to version B."""
    from pstructs._cli.looking import diff_versions

    diff_versions(store, a, b, limit=limit)


@app.command(rich_help_panel="Look into a store")
def history(
    store: Store,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of the record.")],
    head: Head = "main",
    limit: Limit = 20,
) -> None:
    """Show which versions changed a record, newest first."""
    from pstructs._cli.naming import history_of

    history_of(store, key, head=head, limit=limit)


@app.command(rich_help_panel="Lines of versions")
def branch(
    store: Store,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The new head.")] = None,
    at: At = "main",
    delete: Delete = False,
) -> None:
    """Make a new line of versions that starts at one of them; without NAME, list all lines."""
    from pstructs._cli.naming import branches

    branches(store, name, at=at, delete=delete)


@app.command(rich_help_panel="Lines of versions")
def tag(
    store: Store,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The new tag.")] = None,
    at: At = "main",
    message: Annotated[str | None, typer.Option(help="A note to keep with the tag.")] = None,
    delete: Delete = False,
) -> None:
    """Give a version a name that never moves; without NAME, list all tags."""
    from pstructs._cli.naming import tags

    tags(store, name, at=at, message=message, delete=delete)


@app.command(rich_help_panel="Lines of versions")
def merge(
    store: Store,
    theirs: Annotated[str, typer.Argument(metavar="THEIRS", help=f"What to merge: {VERSION}.")],
    into: Annotated[str, typer.Option(metavar="HEAD", help="The line to extend.")] = "main",
    on_conflict: Annotated[
        Side | None,
        typer.Option(help="Whose value to keep where both changed one place: the line's (ours)."),
    ] = None,
    message: Annotated[str | None, typer.Option(help="A note to keep with the version.")] = None,
) -> None:
    """Bring the changes of a version into a line, as a new version."""
    from pstructs._cli.naming import merge_into

    side = on_conflict.value if on_conflict else None
    merge_into(store, theirs, into=into, on_conflict=side, message=message)


@app.command(rich_help_panel="Look into a store")
def verify(
    store: Store,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help=f"Only this one: {VERSION}.")
    ] = None,
) -> None:
    """Read the whole store, or all that one version needs, and check every byte of it."""
    from pstructs._cli.looking import verify_store

    verify_store(store, version)


@app.command(rich_help_panel="Give back space")
def report(store: Store, limit: Limit = 20) -> None:
    """Say where the bytes of a store are, and which versions need them."""
    from pstructs._cli.keeping import report_space

    report_space(store, limit=limit)


@app.command(rich_help_panel="Give back space")
def expire(
    store: Store,
    last: Annotated[int, typer.Option(min=0, help="Keep the last so many versions.")] = 0,
    days: Annotated[float, typer.Option(min=0, help="Keep what is not older, in days.")] = 0,
    hourly: Annotated[int, typer.Option(min=0, help="Keep one an hour, so many.")] = 0,
    daily: Annotated[int, typer.Option(min=0, help="Keep one a day, so many.")] = 0,
    weekly: Annotated[int, typer.Option(min=0, help="Keep one a week, so many.")] = 0,
    monthly: Annotated[int, typer.Option(min=0, help="Keep one a month, so many.")] = 0,
    yearly: Annotated[int, typer.Option(min=0, help="Keep one a year, so many.")] = 0,
    head: Annotated[str | None, typer.Option(help="Only versions saved to this head.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Let versions expire that no rule keeps. Heads, tags, pins and holds always stay."""
    from pstructs._cli.keeping import expire_versions

    counts = {
        "last": last,
        "hourly": hourly,
        "daily": daily,
        "weekly": weekly,
        "monthly": monthly,
        "yearly": yearly,
    }
    expire_versions(store, counts, days=days, head=head, dry_run=dry_run)


@app.command(rich_help_panel="Give back space")
def compact(
    store: Store,
    keep_above: Annotated[
        int | None, typer.Option(min=0, help="Leave packs of so many bytes and more.")
    ] = None,
) -> None:
    """Rewrite many small packs into one; `gc` then gives back their space."""
    from pstructs._cli.keeping import compact_store

    compact_store(store, keep_above)


@app.command(rich_help_panel="Give back space")
def gc(
    store: Store,
    grace: Annotated[int, typer.Option(min=0, help="Wait for so many more versions.")] = 0,
) -> None:
    """Give back the space of what no version needs any more."""
    from pstructs._cli.keeping import collect_garbage

    collect_garbage(store, grace)


@app.command(rich_help_panel="Give back space")
def compress(
    store: Store,
    days: Annotated[float, typer.Option(min=0, help="Only versions that are older, in days.")] = 0,
    before: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help=f"Only versions before this one: {VERSION}."),
    ] = None,
    level: Annotated[
        int, typer.Option(min=1, max=22, help="Of zstandard: 1 is fast, 22 is small.")
    ] = 3,
) -> None:
    """Compress what only versions need that no head is at. All of them stay readable."""
    from pstructs._cli.keeping import compress_packs

    compress_packs(store, days=days, before=before, level=level)


@app.command(rich_help_panel="Give back space")
def decompress(store: Store) -> None:
    """Expand all that was compressed, so that it is read in place again."""
    from pstructs._cli.keeping import decompress_packs

    decompress_packs(store)


Place = Annotated[
    str, typer.Argument(metavar="PLACE", help="Another store's folder, or a URL: s3://..., ...")
]
Heads = Annotated[
    list[str] | None, typer.Option("--head", help="Only this head; can be given several times.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Move heads also where versions would be left behind.")
]
Prefix = Annotated[str, typer.Option(help="Put before the names of heads that come in.")]
PANEL = "Move versions between stores"


@app.command(rich_help_panel=PANEL)
def export(
    store: Store,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to make.")],
    version: Annotated[
        list[str] | None,
        typer.Option(help="Only this version and those before it; can be given several times."),
    ] = None,
    since: Annotated[
        list[str] | None,
        typer.Option(help="Without this version and those before it, which the receiver has."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Write versions, and all that they stand on, into one file."""
    from pstructs._cli.moving import export_versions

    export_versions(store, file, version=version or [], since=since or [], overwrite=overwrite)


@app.command("import-versions", rich_help_panel=PANEL)
def import_versions(
    store: Annotated[
        Path, typer.Argument(metavar="STORE", help="Folder of the store; made if it is new.")
    ],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `export` wrote.")],
    prefix: Prefix = "origin/",
    force: Force = False,
) -> None:
    """Take in the versions of a file, which is checked whole first."""
    from pstructs._cli.moving import import_versions as run

    run(store, file, prefix=prefix, force=force)


@app.command(rich_help_panel=PANEL)
def push(store: Store, place: Place, head: Heads = None, force: Force = False) -> None:
    """Send what another place lacks, and move the heads there."""
    from pstructs._cli.moving import push_versions

    push_versions(store, place, head=head or [], force=force)


@app.command(rich_help_panel=PANEL)
def pull(
    store: Annotated[
        Path, typer.Argument(metavar="STORE", help="Folder of the store; made if it is new.")
    ],
    place: Place,
    head: Heads = None,
    prefix: Prefix = "origin/",
    force: Force = False,
) -> None:
    """Take in what another place has and this store lacks."""
    from pstructs._cli.moving import pull_versions

    pull_versions(store, place, head=head or [], prefix=prefix, force=force)


@app.command(rich_help_panel=PANEL)
def repair(
    store: Store,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A store, an exported file, or a URL.")
    ],
) -> None:
    """Take what is damaged or missing from a place that has it whole."""
    from pstructs._cli.moving import repair_store

    repair_store(store, source)
