# The service: one small image for `serve`, `work` and every other command.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin contexture

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --home-dir /data contexture \
 && install -d -o contexture -g contexture /data
COPY --from=build /src/target/release/contexture /usr/local/bin/contexture
USER contexture
VOLUME /data
ENV CONTEXTURE_DATA_DIR=/data
EXPOSE 7070
ENTRYPOINT ["contexture"]
CMD ["serve"]
