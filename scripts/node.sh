#!/bin/sh
# Runs a program on the Node that the packages bring, whatever Node npm itself runs on; installs the packages first when they are missing.
# npm 10 leaves no node_modules/.bin/node, so the path comes from the package itself.
node=$("${npm_node_execpath:-node}" "$(dirname "$0")/install-dependencies.cjs") || exit
PATH=$(dirname "$node"):$PATH
export PATH
exec "$node" "$@"
