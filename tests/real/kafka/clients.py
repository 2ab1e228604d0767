"""Real clients of a broker: clients.py HOST:PORT PROTOCOL MECHANISM PASSWORD [CA].

Prints for librdkafka and for kafka-python the topics that each sees, or "refused".
"""

import logging
import sys

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from kafka import KafkaAdminClient

logging.disable(logging.CRITICAL)
server, protocol, mechanism, password, *ca = sys.argv[1:]
sasl = protocol.startswith("SASL")

config = {"bootstrap.servers": server, "security.protocol": protocol, "log_level": 0}
if sasl:
    config |= {"sasl.mechanism": mechanism, "sasl.username": "app", "sasl.password": password}
if ca:
    config |= {"ssl.ca.location": ca[0]}
try:
    print("librdkafka", *sorted(AdminClient(config).list_topics(timeout=5).topics))
except KafkaException:
    print("librdkafka refused")

config = {"bootstrap_servers": server, "security_protocol": protocol, "bootstrap_timeout_ms": 5000}
if sasl:
    config |= {"sasl_mechanism": mechanism, "sasl_plain_username": "app", "sasl_plain_password": password}
if ca:
    config |= {"ssl_cafile": ca[0]}
try:
    print("kafka-python", *sorted(KafkaAdminClient(**config).list_topics()))
except Exception:  # Its errors differ from version to version.
    print("kafka-python refused")
