# syntax=docker/dockerfile:1
# Not run yet: written where no Docker daemon was at hand.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends libssl-dev pkg-config && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    cargo build --release --locked --bin kaflowsql && cp target/release/kaflowsql /kaflowsql

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libssl3 && rm -rf /var/lib/apt/lists/*
COPY --from=build /kaflowsql /usr/local/bin/kaflowsql
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["kaflowsql"]
CMD ["run", "-c", "/etc/kaflowsql/config.yaml", "/etc/kaflowsql/pipelines"]
