#!/usr/bin/env bash
# Installs the committed tree into an empty folder, starts the server as the README describes, requests its health, and
# stops it. Uses the caller's npm and Node, or the packages named in $@, such as npm@10.8.2 or node@18.
set -eu
folder=$(mktemp -d)
# When root starts it, the database runs as another user, who needs access to this folder.
chmod 711 "$folder"
trap 'rm -rf "$folder"' EXIT
git -C "$(dirname "$0")/.." archive HEAD | tar -x -C "$folder"
cd "$folder"
packages=""
for package; do packages="$packages --package=$package"; done
# Removes node_modules/.bin from PATH. Otherwise the Node of this checkout would run npm.
PATH=$(printf %s "$PATH" | tr : '\n' | grep -v node_modules | paste -sd: -)
PORT=$(( 20000 + $$ % 10000 ))
export PORT PATH
# Starts a process group of its own, to stop all its processes: not every npm forwards signals.
set -m
# shellcheck disable=SC2086
npx --yes $packages -c 'echo "Node $(node --version), npm $(npm --version)"; exec npm start' >log 2>&1 &
server=$!
trap 'kill -- "-$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
waited=0
until curl -fsS "http://localhost:$PORT/health" 2>/dev/null; do
  waited=$((waited + 1))
  if [ $waited -gt 300 ] || ! kill -0 $server 2>/dev/null; then cat log >&2; echo "The server did not start in an empty folder." >&2; exit 1; fi
  sleep 1
done
echo; grep "^Node" log
