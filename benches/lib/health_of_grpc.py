"""health_of_grpc.py serve PORT: a gRPC server whose health is SERVING. health_of_grpc.py ask HOST:PORT: one question to it.

It runs in the Python of target/grpc-tools (tests/grpc-tools installs it), which has grpcio and its health service."""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

if sys.argv[1] == "serve":
    server = grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    server.add_insecure_port(f"127.0.0.1:{sys.argv[2]}")
    server.start()
    server.wait_for_termination()
else:
    with grpc.insecure_channel(sys.argv[2]) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    sys.exit(0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1)
