"""The health of a server as gRPC's own client sees it: client.py HOST:PORT [SERVICE]. Prints the status."""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

with grpc.insecure_channel(sys.argv[1]) as channel:
    request = health_pb2.HealthCheckRequest(service="".join(sys.argv[2:]))
    try:
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=20)
        print(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
    except grpc.RpcError as error:
        print(error.code().name, error.details())
