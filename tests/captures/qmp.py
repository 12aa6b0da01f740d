# SPDX-License-Identifier: LGPL-2.1-or-later
"""A QEMU process with its monitor, for captures. Blocking, with a deadline on every wait."""

import json
import os
import socket
import subprocess


class QemuError(Exception):
    """QEMU refused a command, failed, or did not do it in time."""


class Qemu:
    """One QEMU. `folder` takes its sockets and its log; use as a context manager."""

    def __init__(self, name, binary, arguments, folder, timeout=120):
        self.name = name
        self.folder = folder
        self.events = []
        self.buffer = b""
        ours, theirs = socket.socketpair()
        self.log = open(os.path.join(folder, name + ".log"), "wb")
        self.process = subprocess.Popen(
            [binary, *arguments,
             "-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-mon", "chardev=qmp,mode=control"],
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        theirs.close()
        self.monitor = ours
        self.monitor.settimeout(timeout)
        self._read()
        self.command("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.monitor.close()
        self.log.close()

    def _read(self):
        while b"\n" not in self.buffer:
            try:
                data = self.monitor.recv(65536)
            except TimeoutError:
                raise QemuError(f"{self.name}: no answer in time") from None
            except ConnectionError:
                data = b""
            if not data:
                raise QemuError(f"{self.name} ended: {self.last_words()}")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def last_words(self):
        """The end of what the process wrote."""
        with open(self.log.name, "rb") as log:
            return log.read()[-400:].decode(errors="replace").strip()

    def command(self, name, /, **arguments):
        """The result of one QMP command. Underscores in argument names are dashes."""
        request = {"execute": name,
                   "arguments": {key.replace("_", "-"): value for key, value in arguments.items()}}
        self.monitor.sendall(json.dumps(request).encode())
        while True:
            message = self._read()
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise QemuError(f"{self.name}: {name}: {message['error']['desc']}")
            elif "return" in message:
                return message["return"]

    def human(self, line):
        """The output of a command of the human monitor."""
        return self.command("human-monitor-command", command_line=line)

    def wait(self, event, wanted):
        """The first event (also a past one) of that name whose data satisfy `wanted`."""
        while True:
            for index, message in enumerate(self.events):
                if message["event"] == event and wanted(message.get("data", {})):
                    del self.events[index]
                    return message["data"]
            message = self._read()
            if "event" in message:
                self.events.append(message)

    def wait_status(self, *statuses):
        """Until a migration of this QEMU has one of these states; "failed" is an error."""
        data = self.wait("MIGRATION", lambda d: d["status"] in (*statuses, "failed"))
        if data["status"] == "failed" and "failed" not in statuses:
            info = self.command("query-migrate")
            raise QemuError(f"{self.name}: migration failed: {info.get('error-desc', '')}"
                            f" {self.last_words()}")
        return data["status"]

    def capabilities(self, *names):
        """Switches migration capabilities on."""
        self.command("migrate-set-capabilities",
                     capabilities=[{"capability": name, "state": True} for name in names])
