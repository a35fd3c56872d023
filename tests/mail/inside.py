"""Runs the test of one program, in the root folder that layer.py made: inside.py PROGRAM BINARY."""

import importlib
import sys
import traceback
from pathlib import Path

from report import Report
from world import World


def main():
    program, binary = sys.argv[1], Path(sys.argv[2])
    report = Report(program)
    world = World(binary)
    try:
        importlib.import_module(f"programs.{program}").test(world, report)
    except Exception:  # the report says which step it was, and the logs why
        report.check("runs to its end", False, traceback.format_exc())
    finally:
        if report.failures:
            world.print_logs()
        world.end()
    sys.exit(1 if report.failures else 0)


if __name__ == "__main__":
    main()
