# waitgate's image: one static binary and nothing else.
#
#   docker buildx build --platform linux/amd64,linux/arm64 -t waitgate .
#   podman build -t waitgate .
#
# The builder runs on the machine's own architecture and cross-compiles, so no
# emulation is needed for the other one.
FROM --platform=$BUILDPLATFORM rust:1-slim AS builder
ARG TARGETARCH

# Rust's own name for the architecture, and Debian's for its C compiler. ring is
# partly C, with no call into libc that needs more than headers, so Debian's
# plain (cross) compiler serves musl too. rust:1-slim has the native one.
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
COPY src src

# rust-lld comes with the toolchain and links for every target. The caches hold
# the downloaded crates and the compiled dependencies between two builds.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    arch=$(cat /arch) && target=$arch-unknown-linux-musl \
    && export "CC_${arch}_unknown_linux_musl=$arch-linux-gnu-gcc" \
    && cargo build --release --locked --target "$target" \
        --config "target.$target.linker='rust-lld'" \
    && cp "target/$target/release/waitgate" /waitgate

FROM scratch
# On the default PATH, for `command: [waitgate, …]` and `COPY --from`.
COPY --from=builder /waitgate /usr/local/bin/waitgate
# In numbers, or the kubelet cannot tell that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/waitgate"]
