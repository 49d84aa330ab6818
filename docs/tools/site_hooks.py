"""What the generator of the site does beside mkdocs.yml: copies linked files, prints the commands' help."""

import contextlib
import io
import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

ROOT = Path(__file__).resolve().parents[2]
HELP = "<!-- the help of every command -->"  # where it is printed in a page
WIDTH = 84  # of the help, in letters
LINK = re.compile(r"(?<=\]\()[^)#:]+(?=\))")  # to a file, without an anchor


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page's text, with the help in its place and links to files outside of `docs` leading to copies of them."""

    def lead_to_copy(match: re.Match[str]) -> str:
        path = Path(config.docs_dir, page.file.src_uri).parent.joinpath(match[0]).resolve()
        is_outside = path.is_file() and not path.is_relative_to(config.docs_dir)
        if not is_outside and path.suffix != ".py":
            return match[0]
        name = f"source/{path.relative_to(ROOT)}.txt"  # as text, which a browser shows and does not save
        if files.get_file_from_path(name) is None:
            files.append(File.generated(config, name, abs_src_path=str(path)))
        return get_relative_url(name, page.file.src_uri)

    if HELP in markdown:
        markdown = markdown.replace(HELP, "\n".join(_sections(())))
    return LINK.sub(lead_to_copy, markdown)


def _sections(command: tuple[str, ...]) -> list[str]:
    """A section with the help of a command, and those of the commands below it."""
    text = command_help(command)
    sections = [f"## `{' '.join(('xworld', *command))}`\n\n```text\n{text.strip()}\n```\n"]
    usage = text.partition("\n\n")[0]
    if below := re.search(r"\{([\w,-]+)\}$", usage.strip()):
        for name in below[1].split(","):
            sections += _sections((*command, name))
    return sections


def command_help(command: tuple[str, ...]) -> str:
    """What `xworld COMMAND --help` prints."""
    from xworld.apps.commands.main import main

    printed = io.StringIO()
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(WIDTH)
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main([*command, "--help"])
    finally:
        if columns is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = columns
    return printed.getvalue()
