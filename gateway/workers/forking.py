"""The process that workers are forked from: it has loaded everything, and neither threads nor an event loop.

So a worker starts at once and shares what was loaded. The first of them is forked from the supervisor before that has threads
either (`begin`); should it ever end, another one is started as `python -m gateway.workers.forking DESCRIPTOR`.
"""

import gc
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Final, NoReturn

from gateway.config.packing import taken
from gateway.undumpable import kept_in
from gateway.workers import worker
from gateway.workers.channel import Inbox, Message, close_all, encode, receive

PATIENCE: Final = 10.0
"""Seconds workers get to end when whoever keeps them is gone."""
OTHERS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
"""Signals for the supervisor: sent to a whole group of processes, they must not end this one."""


def main() -> None:
    """Fork workers as told, tell of their ends; until whoever tells is gone."""
    kept_in()
    control = socket.socket(fileno=int(sys.argv[1]))
    settle()
    Forking(control).run()


def begin() -> tuple[socket.socket, int]:
    """Fork it from this process, which must have one thread and no event loop yet (fork(2)): our end to it, its process id."""
    ours, theirs = socket.socketpair()
    settle()
    pid = os.fork()
    if pid == 0:
        ours.close()
        be_child(lambda: live(theirs))
    theirs.close()
    return ours, pid


def live(control: socket.socket) -> int:
    """A session of its own: what a terminal signals is for the supervisor, which tells the others."""
    os.setsid()
    Forking(control).run()
    return 0


def be_child(work: Callable[[], int]) -> NoReturn:
    """The whole life of a forked process: whatever happens in it, it does not go on as its parent."""
    code = 1
    try:
        code = work()
    finally:
        if sys.exc_info()[1] is not None:
            traceback.print_exc()
        os._exit(code)


def settle() -> None:
    """What was loaded is never looked at by a collector again: that would copy every page that holds an object."""
    gc.collect()
    gc.freeze()


class Forking:
    """One connection to the supervisor, and the children forked for it."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._inbox = Inbox()
        self._children: set[int] = set()
        self._told, self._tell = socket.socketpair()
        for end in (self._told, self._tell):
            end.setblocking(False)
        signal.set_wakeup_fd(self._tell.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, note)
        for number in OTHERS:
            signal.signal(number, signal.SIG_IGN)
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._selector.register(self._told, selectors.EVENT_READ)

    def run(self) -> None:
        """Until the supervisor is gone, and the children with it."""
        while self._serve():
            pass
        self._selector.unregister(self._control)  # what is over would be readable for ever
        until = time.monotonic() + PATIENCE
        while self._reap() and (left := until - time.monotonic()) > 0:
            if self._selector.select(left):
                self._told.recv(4096)
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)

    def _serve(self) -> bool:
        ready = {key.fileobj for key, _ in self._selector.select()}
        if self._told in ready:
            self._told.recv(4096)
            self._reap()
        if self._control not in ready:
            return True
        data, descriptors = receive(self._control)
        for message, given in self._inbox.feed(data, descriptors):
            self._obey(message, given)
        return bool(data)

    def _obey(self, message: Message, descriptors: list[int]) -> None:
        if message["do"] == "fork":
            pid = self._fork(descriptors)
            close_all(descriptors)
            self._say({"to": message["id"], "pid": pid})
        elif message["do"] == "know":
            os.environ.update(taken(bytes.fromhex(message["environ"])))
        elif message["do"] == "kill" and message["pid"] in self._children:
            os.kill(message["pid"], signal.SIGKILL)  # not reaped yet, so the number is nobody else's

    def _fork(self, descriptors: list[int]) -> int:
        pid = os.fork()
        if pid == 0:
            be_child(lambda: self._become(descriptors))
        self._children.add(pid)
        return pid

    def _become(self, descriptors: list[int]) -> int:
        """The child: a worker, and nothing of what it was forked from. Gives its exit code."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for end in (self._told, self._tell, self._control):
            end.close()
        control, audit, log = descriptors
        return worker.run(control, audit, log)

    def _reap(self) -> bool:
        """Tell of children that ended; whether there are others."""
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                return True
            self._children.discard(pid)
            self._say({"ended": pid, "code": os.waitstatus_to_exitcode(status)})
        return False

    def _say(self, message: Message) -> None:
        try:
            self._control.sendall(encode(message))
        except OSError:  # nobody is left to be told
            return


def note(_number: int, _frame: object) -> None:
    """A child ended: the loop is woken by the signal's descriptor."""


if __name__ == "__main__":
    main()
