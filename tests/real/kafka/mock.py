"""librdkafka's own mock cluster: mock.py BROKERS. It creates a topic for whoever asks for one and lets it.

Prints its servers. Then each line of the input is a command, whose answer is one line: "topics", or "ask NAME", by which a
producer asks for a topic as producers do.
"""

import sys

from confluent_kafka import Producer

# The addresses of the configuration are not used. Only the client that makes a mock cluster knows it.
client = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": int(sys.argv[1]), "log_level": 0})
brokers = client.list_topics(timeout=10).brokers.values()
print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
for line in sys.stdin:
    command, *name = line.split()
    known = client.list_topics(*name, timeout=10) if command == "ask" else client.list_topics(timeout=10)
    print(*sorted(known.topics), flush=True)
