# The server on an official Node image. There is no build step: Node runs the sources directly.
FROM node:24.21.0-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production NODE_COMPILE_CACHE=/tmp/compile-cache
COPY package.json package-lock.json ./
# Leaves out the optional packages, which contain Node and PostgreSQL for machines that have neither.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund
COPY src ./src
COPY drizzle ./drizzle
USER node
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["node", "-e", "fetch('http://127.0.0.1:3000/health/live').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Starts node, not npm, so that the server receives SIGTERM, drains and exits with 0.
CMD ["node", "src/server.ts"]
