#!/bin/sh
# Runs a program on the Node of the installed packages, whatever Node npm itself runs on. Installs missing packages first.
# npm 10 creates no node_modules/.bin/node, so the path comes from the package itself.
node=$("${npm_node_execpath:-node}" "$(dirname "$0")/install-dependencies.cjs") || exit
PATH=$(dirname "$node"):$PATH
export PATH
exec "$node" "$@"
