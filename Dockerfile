# The page and its workers: one image, two commands. `docker compose up` starts both with all they need.
FROM node:24-bookworm-slim AS base
WORKDIR /app
# The package's own script would fetch 300 MB of CUDA libraries.
ENV ONNXRUNTIME_NODE_INSTALL=skip

# What decides which packages are installed, so that a change of sources installs none.
FROM base AS manifests
COPY . .
RUN find . -type f ! -name package.json ! -name package-lock.json -delete && find . -type d -empty -delete

FROM base AS build
COPY --from=manifests /app .
# Nothing of ours needs an install script: what they would fetch is in the image, or not wanted.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN node --conditions=source packages/site/build.ts

FROM base AS modules
COPY --from=manifests /app .
# ONNX Runtime for browsers is in the build of the page, and that of other systems runs nowhere here.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
  && rm -rf node_modules/onnxruntime-web node_modules/onnxruntime-node/bin/*/darwin node_modules/onnxruntime-node/bin/*/win32

FROM base
ENV NODE_ENV=production WP_HOME=/var/lib/working-papers
RUN install -d -o node -g node "$WP_HOME"
COPY --from=modules /app/node_modules node_modules
COPY packages packages
COPY package.json .
COPY --from=build /app/packages/site/build packages/site/build
USER node
VOLUME /var/lib/working-papers
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["node", "-e", \
  "fetch('http://127.0.0.1:3000/readyz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--conditions=source", "packages/site/server.ts", "--host", "0.0.0.0", "--port", "3000"]
