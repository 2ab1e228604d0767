"""What appears for one tool of one trial: a port, a name, a ready web server, a file, a complete Job."""

import itertools
import threading
import time

from lib.kube import Api
from lib.loopback import at, bound, by_path
from lib.nameserver import Nameserver, use


class Things:
    """Each method makes one thing that is not ready, for `Trial.make`."""

    def __init__(self, folder):
        self.folder, self.numbers, self.ready = folder, itertools.count(), set()
        use(folder)
        self.names, self.kube = Nameserver(), Api(folder)
        self.web = by_path(lambda path: 200 if path in self.ready else 503)

    def port(self, tool):
        port = bound()

        def appear(after):
            time.sleep(after)
            moment = time.monotonic()
            port.listen(64)
            # Closed much later: a tool that is still connecting must not be refused again.
            threading.Timer(60, port.close).start()
            return moment

        return tool.tcp(at(port)), appear

    def _added(self, to, what):
        def appear(after):
            time.sleep(after)
            moment = time.monotonic()
            to.add(what)
            return moment

        return appear

    def name(self, tool):
        name = f"service-{next(self.numbers)}.test"
        return tool.dns(name), self._added(self.names.names, name)

    def page(self, tool):
        path = f"/{next(self.numbers)}"
        return tool.http(f"http://{self.web}{path}"), self._added(self.ready, path)

    def file(self, tool):
        path = self.folder / f"file-{next(self.numbers)}"

        def appear(after):
            time.sleep(after)
            moment = time.monotonic()
            path.touch()
            return moment

        return tool.file(path), appear

    def job(self, tool):
        name = f"job-{next(self.numbers)}"
        self.kube.put(name, complete=False)

        def appear(after):
            time.sleep(after)
            return self.kube.put(name, complete=True)

        return ["env", f"KUBECONFIG={self.kube.config}", f"HOME={self.folder}", *tool.job(name)], appear
