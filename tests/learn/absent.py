"""What a program prints where a package is not installed."""

import subprocess
import sys


def printed_without(package: str, code: str) -> str:
    """Return what code prints, an InputError among it, in a process that cannot import a package."""
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from equipoise.errors import InputError\n"
        f"try:\n    {code}\nexcept InputError as error:\n    print(error)"
    )
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
