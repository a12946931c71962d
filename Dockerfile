# Printyard as a container: one binary, one folder of data.
#
#   docker build -t printyard .
#   docker run -p 8080:8080 -v printyard:/data printyard

FROM rust:1.95-bookworm AS manifest
WORKDIR /build
COPY Cargo.toml ./
# Tests and benchmarks are not in the image's build context, so the manifest must not name their files.
RUN awk '/^\[/ { skip = ($0 ~ /^\[\[(test|bench|example)\]\]/) } !skip' Cargo.toml > image.toml && mv image.toml Cargo.toml

FROM rust:1.95-bookworm AS builder
WORKDIR /build
# The dependencies alone, in a layer that stays until the manifest changes: an empty program with the same manifest.
COPY --from=manifest /build/Cargo.toml ./
COPY Cargo.lock ./
RUN mkdir src \
 && echo '//! Empty.' > src/lib.rs \
 && echo 'fn main() {}' > src/main.rs \
 && cargo build --release --locked \
 && rm -r src target/release/printyard target/release/.fingerprint/printyard-*
COPY . .
COPY --from=manifest /build/Cargo.toml ./
# Cargo compares times, and the files copied may well be older than the empty program was.
RUN find src -name '*.rs' -exec touch {} + \
 && cargo build --release --locked --bin printyard

FROM debian:bookworm-slim
# The certificates are for webhooks and printers that are reached by https.
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
# The binary asks itself, so the image needs no curl.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["printyard", "healthcheck"]
ENTRYPOINT ["printyard"]
CMD ["serve"]
