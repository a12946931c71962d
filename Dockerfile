# Container image of Printyard: one binary, and one data folder.
#
# Run it with its data on a volume:
#
#   docker build -t printyard .
#   docker run -p 8080:8080 -v printyard:/data printyard

FROM rust:1.95-bookworm AS manifest
WORKDIR /build
COPY Cargo.toml ./
# The build context has no tests and benchmarks, so the manifest must not name their files.
RUN awk '/^\[/ { skip = ($0 ~ /^\[\[(test|bench|example)\]\]/) } !skip' Cargo.toml > image.toml && mv image.toml Cargo.toml

FROM rust:1.95-bookworm AS builder
WORKDIR /build
# Builds the dependencies with an empty program. This layer stays cached until the manifest changes.
COPY --from=manifest /build/Cargo.toml ./
COPY Cargo.lock ./
RUN mkdir src \
 && echo '//! Empty.' > src/lib.rs \
 && echo 'fn main() {}' > src/main.rs \
 && cargo build --release --locked \
 && rm -r src target/release/printyard target/release/.fingerprint/printyard-*
COPY . .
COPY --from=manifest /build/Cargo.toml ./
# Cargo compares file times, and the copied files can be older than the empty program.
RUN find src -name '*.rs' -exec touch {} + \
 && cargo build --release --locked --bin printyard

FROM debian:bookworm-slim
# HTTPS connections to printers and webhook receivers need the certificates.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin printyard \
 && install -d -o printyard -g printyard -m 0700 /data
COPY --from=builder /build/target/release/printyard /usr/local/bin/printyard
COPY LICENSE LICENSE-APACHE LICENSE-MIT /usr/share/doc/printyard/

USER 10001:10001
VOLUME /data
ENV PRINTYARD_DATA_DIR=/data \
    PRINTYARD_DATABASE_URL=sqlite:/data/printyard.db \
    PRINTYARD_LISTEN=0.0.0.0:8080
EXPOSE 8080
# The binary has its own health check, so the image needs no curl.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["printyard", "healthcheck"]
ENTRYPOINT ["printyard"]
CMD ["serve"]
