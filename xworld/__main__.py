"""The entry of the command `xworld`, also of `python -m xworld`: says what to install where a package is missing."""

import sys

# By module that may be missing: the extras of xworld that bring it.
_EXTRAS = {
    **dict.fromkeys(("tyro", "rich"), "agents,play"),  # either brings them
    **dict.fromkeys(("flax", "optax", "orbax", "matplotlib"), "agents"),
    **dict.fromkeys(("pygame", "imageio_ffmpeg", "PIL"), "play"),
}


def main() -> int:
    """Runs the command line; returns its exit status."""
    try:
        from xworld.apps.commands import main as cli

        return cli.main()
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _EXTRAS:
            raise
        extra = _EXTRAS[module]
        print(f"xworld: this needs {module}, which is not installed: pip install 'xworld[{extra}]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # while it imports
        print("xworld: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
