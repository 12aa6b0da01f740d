# SPDX-License-Identifier: LGPL-2.1-or-later
"""A relay between two unix sockets that records what goes from the source to the destination."""

import os
import socket
import threading


class Relay:
    """Accepts at `listen`, connects onward at once and in order, writes PREFIX0, PREFIX1, ..."""

    def __init__(self, listen, onward, prefix):
        self.onward = onward
        self.prefix = prefix
        self.pairs = []
        self.threads = []
        self.paths = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(listen)
        self.listener.listen(32)
        self._start(self._accept)

    def _start(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                source, _ = self.listener.accept()
            except OSError:
                return
            destination = socket.socket(socket.AF_UNIX)
            destination.connect(self.onward)
            path = f"{self.prefix}{len(self.pairs)}"
            self.paths.append(path)
            self.pairs.append((source, destination))
            self._start(self._forward, source, destination, path)
            self._start(self._forward, destination, source, path + ".back")

    @staticmethod
    def _forward(reader, writer, path):
        with open(path, "wb") as record:
            while True:
                try:
                    data = reader.recv(1 << 20)
                    if not data:
                        break
                    record.write(data)
                    writer.sendall(data)
                except OSError:
                    break
        try:
            writer.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self):
        """Breaks all connections, as a network does."""
        for pair in self.pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        """Waits until all connections are over and the records are complete."""
        self.listener.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self.listener.close()
        for pair in self.pairs:
            for end in pair:
                end.close()
        return [os.path.basename(path) for path in self.paths]
