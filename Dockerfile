# waitgate's image: one static binary and nothing else.
#
#   docker buildx build --platform linux/amd64,linux/arm64 -t waitgate:0.1.0 .
#   podman build -t waitgate:0.1.0 .
#
# The builder runs on the machine's own architecture and cross-compiles, so no
# emulation is needed for the other one. release/image adds the labels that this
# file cannot know (source, revision, created) and fixes the times in the layer.

# By digest: a tag can be moved. This is rust:1.95-slim; docs/release.md says when
# and how to change it.
ARG RUST_IMAGE=docker.io/library/rust@sha256:e14e87345b4d5964ddcc3491d27ee046a0f23820f340c3c1e24da6880141f7c0
FROM --platform=$BUILDPLATFORM $RUST_IMAGE AS builder

# Adds the list of crates to the binary, for scanners. Empty: builds without it.
ARG CARGO_AUDITABLE=0.7.7
RUN [ -z "$CARGO_AUDITABLE" ] || cargo install --locked "cargo-auditable@$CARGO_AUDITABLE"

ARG TARGETARCH
# Rust's own name for the architecture, and Debian's for its C compiler. ring is
# partly C, with no call into libc that needs more than headers, so Debian's
# plain (cross) compiler serves musl too. The rust image has the native one.
RUN case "$TARGETARCH" in \
        amd64) arch=x86_64 packages="gcc-x86-64-linux-gnu libc6-dev-amd64-cross" ;; \
        arm64) arch=aarch64 packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;; \
        *) echo "no build for TARGETARCH=$TARGETARCH" >&2; exit 1 ;; \
    esac \
    && echo "$arch" >/arch \
    && rustup target add "$arch-unknown-linux-musl" \
    && { command -v "$arch-linux-gnu-gcc" \
        || { apt-get update && apt-get install -y --no-install-recommends $packages; }; }

WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY release/build release/no-unwind.ld release/hot.ld release/
COPY src src

# The caches hold the downloaded crates and the compiled dependencies between two
# builds.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    binary=$(release/build "$(cat /arch)-unknown-linux-musl" ${CARGO_AUDITABLE:+--auditable}) \
    && cp "$binary" /waitgate

FROM scratch
LABEL org.opencontainers.image.title="waitgate" \
      org.opencontainers.image.description="Waits, as an init container, until the services that a Pod needs are ready, and says why it still waits" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="(MIT OR Apache-2.0) AND Apache-2.0 WITH LLVM-exception AND BSD-3-Clause AND CDLA-Permissive-2.0 AND ISC AND Unicode-3.0"
# On the default PATH, for `command: [waitgate, …]` and `COPY --from`.
COPY --from=builder /waitgate /usr/local/bin/waitgate
# In numbers, or the kubelet cannot tell that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/waitgate"]
