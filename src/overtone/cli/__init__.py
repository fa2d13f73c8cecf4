"""The command line. `main` is the console script; every command is a module here."""

from __future__ import annotations

import logging
import sys


def main() -> None:
    """Run the command line and exit with its code. A library that cannot be loaded for want of memory is one error,
    with exit code 3."""
    # What libraries log while there is no memory to load them is said below, once and in words.
    logging.disable(logging.CRITICAL)
    try:
        from overtone.cli.app import main as run
    except (ImportError, OSError, MemoryError, RuntimeError) as error:
        from overtone.system.memory import memory_error

        refused = memory_error(error)
        if refused is None:
            raise
        if sys.stderr is not None:
            sys.stderr.write(f"error: {refused}\n")
        sys.exit(refused.exit_code)
    except KeyboardInterrupt:
        if sys.stderr is not None:
            sys.stderr.write("error: interrupted; nothing was done.\n")
        sys.exit(130)
    finally:
        logging.disable(logging.NOTSET)
    run()


__all__ = ["main"]
