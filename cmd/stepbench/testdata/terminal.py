"""Runs a command in a terminal of its own that is resized all the time.

python terminal.py TERM COMMAND ARGUMENTS...

Prints what the command wrote there; exits as it did.
"""

import fcntl
import os
import pty
import struct
import sys
import termios
import threading
import time

os.environ["TERM"] = sys.argv[1]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])


def resize():
    for n in range(10**6):
        size = struct.pack("HHHH", 24, (0, 1, 20, 300)[n % 4], 0, 0)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
        time.sleep(0.05)


threading.Thread(target=resize, daemon=True).start()
while True:
    try:
        data = os.read(terminal, 65536)
    except OSError:  # the command is gone
        break
    sys.stdout.buffer.write(data)
    sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
