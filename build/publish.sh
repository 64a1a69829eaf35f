#!/bin/bash
# Publishes the one Native AOT binary. Any trim or AOT warning is an error.
# Usage: build/publish.sh [FOLDER]      (default: artifacts/aot)
set -euo pipefail
here=$(dirname "$(dirname "$(realpath "$0")")"); cd "$here"
out=${1:-artifacts/aot}
. "$here/build/env.sh"
log=$(mktemp); trap 'rm -f "$log"' EXIT
if ! dotnet publish -c Release -v q -r linux-x64 src/Warifu.App/Warifu.App.csproj -o "$out.build" >"$log" 2>&1; then cat "$log" >&2; exit 1; fi
if grep -E 'warning (IL|CS|CA)[0-9]+' "$log" >&2; then exit 1; fi
mkdir -p "$out"; cp "$out.build/warifu-cli" "$out/warifu"; rm -rf "$out.build"
echo "$out/warifu: $(stat -c %s "$out/warifu") octets"
