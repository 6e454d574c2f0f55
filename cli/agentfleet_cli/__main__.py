"""`agentfleet`, and `python -m agentfleet_cli`: Ctrl-C while it still imports is no traceback either."""

import io
import sys


def main() -> None:
    try:
        from agentfleet_cli.main import app
    except KeyboardInterrupt:
        sys.exit(130)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that has no arrow shows another sign, and no traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    app()


if __name__ == "__main__":
    main()
