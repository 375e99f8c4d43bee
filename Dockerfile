# Two images from one file: `--target web` faces the internet and has no code path to a VM; `--target worker` runs the VMs.
# BASE needs apt and QEMU 8.2 or newer in its archive: Debian 13, Ubuntu 24.04.
ARG BASE=node:26.10.0-trixie-slim

FROM ${BASE} AS modules
WORKDIR /opt/mayfly
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM ${BASE} AS runtime
# The checkout's own Node goes first, so a base with an older Node (or with npm alone) does too; it needs libatomic1.
ENV NODE_ENV=production PATH=/opt/mayfly/node_modules/.bin:$PATH
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates libatomic1 \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/mayfly
COPY --from=modules /opt/mayfly/node_modules ./node_modules
COPY package.json .nvmrc ./
COPY src ./src

FROM runtime AS worker
RUN apt-get update \
  && apt-get install --yes --no-install-recommends cpio debian-archive-keyring e2fsprogs git mmdebstrap qemu-system-x86 qemu-utils util-linux \
  && rm -rf /var/lib/apt/lists/*
VOLUME ["/var/cache/mayfly", "/var/lib/mayfly"]
# Starts as root to give every VM a user id of its own; what the worker itself may do is for the operator to narrow.
CMD ["node", "src/main.ts", "start", "--role", "worker"]

FROM runtime AS web
USER 10001:10001
ENV HOST=0.0.0.0 PORT=3000
EXPOSE 3000
CMD ["node", "src/main.ts", "start", "--role", "web"]
