#!/bin/sh
# Starts the application once its database accepts connections. waitgate runs in
# the same network and ends with 0 (ready) or 1 (anything else).
set -e
network=${NETWORK:-shop}

docker run --rm --network="$network" --read-only --memory=16m \
    waitgate:0.1.0 --timeout=2m tcp:db:5432

docker run --rm --network="$network" webapp:1
