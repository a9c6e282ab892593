"""Run as a script: become another program that ends when the process that started it ends.

    python -I -S leash.py PARENT SIGNAL UID:GID PROGRAM [ARGUMENT ...]

The kernel sends SIGNAL when PARENT is gone (Linux; elsewhere the child stays until it is stopped).
`UID:GID` is dropped to first, for the drop would undo the leash; `-` keeps the account. It is a
script of its own because code between fork and exec is unsafe in a process with threads.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
LOST_PARENT = 125
"""The exit code when the parent was gone before the leash was on."""


def main(arguments: list[str]) -> None:
    """Drop, tie, become the program; does not return."""
    parent, signal_number, account, *program = arguments
    if account != "-":
        uid, gid = (int(part) for part in account.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
        if os.getppid() != int(parent):
            sys.exit(LOST_PARENT)
    os.execv(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])
