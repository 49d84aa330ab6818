"""The entry of the command `xworld`, also of `python -m xworld`: says what to install where a package is missing."""

import sys

from xworld.apps.doctor import EXTRAS, Doctor, how_to_install, version


def main() -> int:
    """Runs the command line; returns its exit status."""
    if sys.argv[1:] == ["--version"]:
        print(version())
        return 0
    if sys.argv[1:] == ["doctor"]:  # without the packages that read a command line: they may be missing
        return Doctor().run()
    try:
        from xworld.apps.commands import main as cli

        return cli.main()
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        print(f"xworld: this needs {module}, which is not installed: {how_to_install(module)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # while it imports
        print("xworld: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
