"""A small Kubernetes API: Jobs that become complete, with the discovery that kubectl asks for, over TLS and with a token.

The recorded answers of a real API server in tests/kube are its words.
"""

import json
import threading
import time
from urllib.parse import parse_qs, urlsplit

from lib.loopback import request, self_signed, serve_tls
from lib.process import ROOT

JOBS = "/apis/batch/v1/namespaces/demo/jobs"


def recorded(name):
    return json.loads((ROOT / f"tests/kube/{name}.json").read_text())["body"]


class Api:
    def __init__(self, folder):
        self.running, self.complete = recorded("job-running"), recorded("job-complete")
        self.discovery = {"/apis/batch/v1": recorded("discovery-batch-v1"), "/api/v1": recorded("discovery-api-v1")}
        self.discovery["/api"] = recorded("discovery-api")
        self.discovery["/apis"] = recorded("discovery-apis")
        groups = self.discovery["/apis"]["groups"]
        self.discovery["/apis"]["groups"] = [group for group in groups if group["name"] == "batch"]
        self.jobs, self.changed = {}, threading.Condition()
        certificate, key = self_signed(folder, "kube")
        server = serve_tls(self.answer, certificate, key)
        self.config = folder / "kubeconfig"
        self.config.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "demo"}}],
            "clusters": [{"name": "here", "cluster": {"server": f"https://{server}",
                                                      "certificate-authority": str(certificate)}}],
            "users": [{"name": "me", "user": {"token": "of-the-bench"}}],
        }))

    def put(self, name, complete):
        """A Job of this name, running or complete. Returns the time just before watchers could see it."""
        job = json.loads(json.dumps(self.complete if complete else self.running))
        job["metadata"]["name"] = name
        with self.changed:
            job["metadata"]["resourceVersion"] = str(1000 + sum(len(events) for events in self.jobs.values()))
            moment = time.monotonic()
            self.jobs.setdefault(name, []).append(job)
            self.changed.notify_all()
        return moment

    def answer(self, connection):
        while asked := request(connection):
            url = urlsplit(asked[1])
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            name = query.get("fieldSelector", "").removeprefix("metadata.name=")
            if url.path in self.discovery:
                self.whole(connection, 200, self.discovery[url.path])
            elif url.path == JOBS and query.get("watch") in ("1", "true"):
                self.watch(connection, name, query)
                return
            elif url.path == JOBS:
                items = [self.jobs[name][-1]] if name in self.jobs else []
                version = {"resourceVersion": items[0]["metadata"]["resourceVersion"] if items else "1000"}
                self.whole(connection, 200, {"kind": "JobList", "apiVersion": "batch/v1", "metadata": version, "items": items})
            elif url.path.startswith(JOBS + "/") and url.path.removeprefix(JOBS + "/") in self.jobs:
                self.whole(connection, 200, self.jobs[url.path.removeprefix(JOBS + "/")][-1])
            else:
                self.whole(connection, 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404,
                                             "reason": "NotFound", "message": "not found"})

    def whole(self, connection, status, body):
        text = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        connection.sendall(head.encode() + text)

    def watch(self, connection, name, query):
        """The bench changes a Job once, from running to complete. A watch may first want the list as events
        (sendInitialEvents, KEP-3157), which end with a bookmark."""
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")

        def send(kind, body):
            line = json.dumps({"type": kind, "object": body}).encode() + b"\n"
            connection.sendall(b"%x\r\n%s\r\n" % (len(line), line))

        def complete():
            return self.jobs[name][-1]["status"].get("completionTime")

        if query.get("sendInitialEvents") == "true":
            job = self.jobs[name][-1]
            send("ADDED", job)
            marks = {"resourceVersion": job["metadata"]["resourceVersion"], "annotations": {"k8s.io/initial-events-end": "true"}}
            send("BOOKMARK", {"kind": "Job", "apiVersion": "batch/v1", "metadata": marks, "spec": {}, "status": {}})
        with self.changed:
            self.changed.wait_for(complete, timeout=int(query.get("timeoutSeconds", 300)))
        if complete():
            send("MODIFIED", self.jobs[name][-1])
            time.sleep(5)
        connection.sendall(b"0\r\n\r\n")
