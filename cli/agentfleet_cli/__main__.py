"""`agentfleet`, and `python -m agentfleet_cli`: Ctrl-C while it still imports is no traceback either."""

import sys


def main() -> None:
    try:
        from agentfleet_cli.main import app
    except KeyboardInterrupt:
        sys.exit(130)
    app()


if __name__ == "__main__":
    main()
