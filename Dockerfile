# Holdfast as one static binary, with ffmpeg beside it. It runs as non-root.
#
#   docker build -t holdfast .
#   docker run -p 1935:1935 -p 8080:8080 -p 8189:8189/udp holdfast --webrtc.public_ips ADDRESS
#
# Configure by environment (HOLDFAST_RTMP_LISTEN=…) or with a file mounted at
# /etc/holdfast/holdfast.yaml, readable by user 10001.

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG RELEASE=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.release=${RELEASE}" -o /holdfast ./cmd/holdfast

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates ffmpeg \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin holdfast \
 && install -d -o 10001 -m 0700 /var/lib/holdfast
COPY --from=build /holdfast /usr/local/bin/holdfast
USER 10001:10001
# RTMP, viewers over HTTP, WebRTC media. ffmpeg is for renditions, and for audio in another codec.
# /var/lib/holdfast is for state.file, on a volume. The admin address stays on the container's
# loopback unless HOLDFAST_ADMIN_LISTEN and HOLDFAST_ADMIN_TOKEN say otherwise.
EXPOSE 1935 8080 8189/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=5s --retries=3 CMD ["holdfast", "health"]
ENTRYPOINT ["holdfast"]
CMD ["serve"]
