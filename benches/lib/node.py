"""A node with Pods, in network namespaces: it refuses for a Service without endpoints, or drops its packets.

The refusals are those of kube-proxy, an ICMP error that the node forwards no packet for. Linux rations them for each client
(net.ipv4.icmp_ratelimit and net.ipv6.icmp.ratelimit: a burst of 6, then one a second), so each client here is a Pod with a
namespace and addresses of its own. The script's own namespace is the node; the endpoint of each Service is in another one,
behind it.
"""

import ctypes
import os
import re
import socket
import subprocess
import threading
import time

from lib.loopback import serve, silent

PORT = 6379
REFUSED_4, REFUSED_6, DROPPED = "10.96.0.1", "fd00:96::1", "10.96.0.2"

# Elements are a client and a Service whose endpoint has not come yet.
RULES = f"""
table inet node {{
    set without_endpoints_4 {{ type ipv4_addr . ipv4_addr; }}
    set without_endpoints_6 {{ type ipv6_addr . ipv6_addr; }}
    set dropped {{ type ipv4_addr . ipv4_addr; }}
    chain forward {{
        type filter hook forward priority filter;
        tcp dport {PORT} ip saddr . ip daddr @without_endpoints_4 reject with icmp type port-unreachable
        tcp dport {PORT} ip6 saddr . ip6 daddr @without_endpoints_6 reject with icmpv6 type port-unreachable
        tcp dport {PORT} ip saddr . ip daddr @dropped drop
    }}
}}
"""
# In each client: the SYNs that leave it, those that its kernel repeats too.
COUNTERS = f"""
table inet client {{
    chain output {{
        type filter hook output priority filter;
        ip daddr {REFUSED_4} tcp flags & (syn | ack) == syn counter
        ip6 daddr {REFUSED_6} tcp flags & (syn | ack) == syn counter
        ip daddr {DROPPED} tcp flags & (syn | ack) == syn counter
    }}
}}
"""


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def nft(rules, *before):
    return subprocess.run([*before, "nft", "-f", "-"], input=rules, text=True, check=True)


def veth(namespace, link, node4, there4, node6, there6):
    """A link from the node to a new namespace, with a default route back."""
    ip("netns", "add", namespace)
    ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    for where, device, four, six in [((), link, node4, node6), (("-n", namespace), "eth0", there4, there6)]:
        ip(*where, "addr", "add", f"{four}/24", "dev", device)
        # Without nodad the address could not be used for a second.
        ip(*where, "addr", "add", f"{six}/64", "dev", device, "nodad")
        ip(*where, "link", "set", device, "up")
    ip("-n", namespace, "link", "set", "lo", "up")
    ip("-n", namespace, "route", "add", "default", "via", node4)
    ip("-n", namespace, "-6", "route", "add", "default", "via", node6)


def listen_in(namespace, addresses):
    """Servers in another namespace. setns moves one thread; a socket stays where it was made."""

    def inside():
        with open(f"/run/netns/{namespace}") as handle:
            if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), 0):
                raise OSError(ctypes.get_errno(), "setns")
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            serve(silent, socket.create_server((address, PORT), family=family, backlog=1024))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()


class Node:
    def __init__(self, clients):
        """`clients` Pods. It needs a mount namespace of its own, where /run/netns can be covered."""
        os.makedirs("/run/netns", exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"], check=True)
        for setting in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"):
            subprocess.run(["sysctl", "-qw", setting], check=True)
        veth("pods", "pods", "10.2.0.1", "10.2.0.2", "fd00:2::1", "fd00:2::2")
        for service in (REFUSED_4, DROPPED):
            ip("-n", "pods", "addr", "add", f"{service}/32", "dev", "lo")
            ip("route", "add", f"{service}/32", "via", "10.2.0.2")
        ip("-n", "pods", "addr", "add", f"{REFUSED_6}/128", "dev", "lo", "nodad")
        ip("-6", "route", "add", f"{REFUSED_6}/128", "via", "fd00:2::2")
        listen_in("pods", (REFUSED_4, REFUSED_6, DROPPED))
        nft(RULES)
        for client in range(clients):
            veth(f"client{client}", f"client{client}", f"10.1.{client}.1", f"10.1.{client}.2",
                 f"fd00:1:{client:x}::1", f"fd00:1:{client:x}::2")
            nft(COUNTERS, "ip", "netns", "exec", f"client{client}")

    def service(self, client, kind):
        """A Service that this client cannot reach yet."""
        return Service(client, kind)


class Service:
    def __init__(self, client, kind):
        name, self.address, source = {
            "refused 4": ("without_endpoints_4", REFUSED_4, f"10.1.{client}.2"),
            "refused 6": ("without_endpoints_6", REFUSED_6, f"fd00:1:{client:x}::2"),
            "dropped": ("dropped", DROPPED, f"10.1.{client}.2"),
        }[kind]
        self.inside = ["ip", "netns", "exec", f"client{client}"]
        self.element = f"element inet node {name} {{ {source} . {self.address} }}\n"
        nft("add " + self.element)
        self.before = self.syns()

    def target(self):
        return f"[{self.address}]:{PORT}" if ":" in self.address else f"{self.address}:{PORT}"

    def syns(self):
        listing = subprocess.run([*self.inside, "nft", "list", "table", "inet", "client"], check=True,
                                 stdout=subprocess.PIPE, text=True).stdout
        return int(re.search(rf"daddr {self.address} .*counter packets (\d+)", listing)[1])

    def sent(self):
        """The SYNs to this Service since it was made."""
        return self.syns() - self.before

    def appear_after(self, seconds):
        """Its endpoint comes, or its packets flow. Returns the moment: just before the kernel gets the change."""
        time.sleep(max(0.0, seconds - 0.3))
        # The process is there before the moment, and has only to read the rule.
        change = subprocess.Popen(["nft", "-f", "-"], stdin=subprocess.PIPE, text=True)
        time.sleep(0.3)
        moment = time.monotonic()
        change.communicate("delete " + self.element)
        if change.returncode:
            raise RuntimeError("nft could not change the rule")
        return moment
