"""A server of gRPC for the tests, by grpcio: server.py HOST:PORT [OPTION...].

  NAME=STATUS       the health of a service; "=STATUS" is that of the whole server
  --no-health       without the health service
  --token TOKEN     only calls with "authorization: Bearer TOKEN" are answered; others repeat what they gave
  --echo FILE       appends the metadata of each call to FILE, one line each
  --tls CERT KEY    TLS;  --client-ca CA  clients need a certificate of CA
"""

import sys
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


class Watch(grpc.ServerInterceptor):
    """Looks at the metadata of each call, before it is answered."""

    def __init__(self, token, echo):
        self.token, self.echo = token, echo

    def intercept_service(self, continuation, details):
        metadata = dict(details.invocation_metadata)
        if self.echo:
            with open(self.echo, "a", encoding="utf-8") as file:
                file.write(f"{details.method} {sorted(metadata.items())}\n")
        given = metadata.get("authorization")
        if self.token and given != f"Bearer {self.token}":
            def deny(_request, context):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, f"bad credentials: {given}")
            return grpc.unary_unary_rpc_method_handler(deny)
        return continuation(details)


def main(address, *options):
    options = list(options)
    statuses, token, echo, files, client_ca, with_health = {}, None, None, None, None, True
    while options:
        option = options.pop(0)
        if option == "--no-health":
            with_health = False
        elif option == "--token":
            token = options.pop(0)
        elif option == "--echo":
            echo = options.pop(0)
        elif option == "--tls":
            files = (options.pop(0), options.pop(0))
        elif option == "--client-ca":
            client_ca = options.pop(0)
        else:
            name, status = option.split("=")
            statuses[name] = health_pb2.HealthCheckResponse.ServingStatus.Value(status)
    server = grpc.server(futures.ThreadPoolExecutor(4), interceptors=[Watch(token, echo)])
    if with_health:
        servicer = health.HealthServicer()
        for name, status in statuses.items():
            servicer.set(name, status)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    read = lambda path: open(path, "rb").read()
    if files:
        pair = [(read(files[1]), read(files[0]))]
        ca = read(client_ca) if client_ca else None
        credentials = grpc.ssl_server_credentials(pair, ca, require_client_auth=ca is not None)
        server.add_secure_port(address, credentials)
    else:
        server.add_insecure_port(address)
    server.start()
    print("listens", flush=True)
    server.wait_for_termination()


main(*sys.argv[1:])
