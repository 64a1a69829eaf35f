#!/bin/bash
# Prepares this machine: the .NET 10 SDK and plain tools. Announces what it installs; never installs or starts a VPN daemon.
# Usage: build/prepare.sh run|test|long
set -euo pipefail
level=${1:-run}

say() { echo "$@" >&2; }

apt_install() {
  local missing=()
  for p; do dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q '^install ok' || missing+=("$p"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null; then say "warifu: please install: ${missing[*]}"; return 0; fi
  if [ "$(id -u)" != 0 ]; then say "warifu: please install (as root): apt-get install ${missing[*]}"; return 0; fi
  say "warifu: installing with apt: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
    { apt-get -q -o DPkg::Lock::Timeout=600 update >/dev/null; apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${missing[@]}" >/dev/null; }
}

have_sdk() { command -v dotnet >/dev/null && dotnet --list-sdks 2>/dev/null | grep -q '^10\.'; }

if ! have_sdk; then
  if [ "$(id -u)" = 0 ] && apt-cache policy dotnet-sdk-10.0 2>/dev/null | grep -q 'Candidate: [0-9]'; then
    apt_install dotnet-sdk-10.0
  fi
  have_sdk || { say "warifu: the .NET 10 SDK is missing. Get it from https://dotnet.microsoft.com/download/dotnet/10.0 (or your distribution's package dotnet-sdk-10.0) and run this again."; exit 1; }
fi
[ "$level" = run ] || apt_install iproute2 netbase nftables iputils-ping procps iperf3 tcpdump tshark gcc libc6-dev clang lld zlib1g-dev ca-certificates
