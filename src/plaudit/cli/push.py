"""``plaudit push``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plaudit.cli import options as o
from plaudit.cli.output import print_json, say, waiting

EPILOG = "[bold]Example[/]\nplaudit push my-rm --repo-id me/my-rm --private"


def push(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a reward model saved by plaudit.")],
    repo_id: Annotated[
        str, o.option("--repo-id", panel=o.OUTPUT, metavar="OWNER/NAME", help="Where to, on the Hugging Face Hub.")
    ],
    private: Annotated[bool, o.option("--private", panel=o.OUTPUT, help="Make the repository private.")] = False,
    message: Annotated[
        str, o.option("--message", panel=o.OUTPUT, metavar="TEXT", help="Of the commit.")
    ] = "Reward model trained with plaudit",
    as_json: o.Json = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """Publish a finished reward model on the Hub, model card included.

    Its golden scores are verified first; a folder that fails is not uploaded.
    """
    with waiting(f"verifying and uploading {folder}"):
        from plaudit.models.hub import push_folder

        url = push_folder(folder, repo_id, private=private, message=message)
    if as_json:
        print_json({"folder": str(folder), "url": url})
    else:
        print(url)
    say(f"pushed: plaudit compare --model {repo_id} 'one answer' 'another answer'")
