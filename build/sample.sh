#!/bin/bash
# Packs Warifu and Warifu.Net into a local feed, builds samples/Embed on these packages and runs it.
# Usage: build/sample.sh
set -euo pipefail
cd "$(dirname "$(dirname "$(realpath "$0")")")"
. build/env.sh
log=$(mktemp); trap 'rm -f "$log"' EXIT
quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }; }
rm -rf artifacts/packages artifacts/samples/packages/warifu artifacts/samples/packages/warifu.net
for project in Warifu Warifu.Net; do quietly dotnet pack -c Release -v q "src/$project/$project.csproj" -o artifacts/packages; done
quietly dotnet build -c Release -v q samples/Embed/Embed.csproj
exec samples/Embed/bin/Release/net10.0/Embed
