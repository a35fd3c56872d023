"""What a test found, as the rows of a table; and waiting for what is to come."""

import time


class Report:
    """Prints a row for each check, with the seconds since the start, and counts those that failed."""

    def __init__(self, program):
        self.program = program
        self.failures = 0
        self.start = time.monotonic()

    def check(self, what, good, seen=""):
        """One row: what was to be shown, whether it was, and what was seen if it was not."""
        seconds = time.monotonic() - self.start
        print(f"{self.program:<13} {seconds:4.0f} s  {'ok    ' if good else 'FAILED'} {what}", flush=True)
        if not good:
            self.failures += 1
            print(f"    seen: {seen}", flush=True)

    def note(self, what):
        """A row that states a figure."""
        print(f"{self.program:<13}                {what}", flush=True)


def wait_for(condition, limit_s, pause_s=0.1):
    """Asks until what comes back is true, and returns it; or the last answer when the time is over."""
    end = time.monotonic() + limit_s
    while True:
        found = condition()
        if found or time.monotonic() >= end:
            return found
        time.sleep(pause_s)
