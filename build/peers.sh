#!/bin/bash
# Fetches the real peers that the tests talk to and unpacks them into a cache of the project's own. Nothing is installed and no daemon is started.
# Usage: build/peers.sh NAME...      NAME: strongswan libreswan openiked vpnc ike-scan uml resolved
# Cache: ${WARIFU_CACHE:-$HOME/.cache/warifu}/peers/NAME (a tree with usr/, etc/, lib/ as the packages have it, and the file .complete)
set -euo pipefail
cache=${WARIFU_CACHE:-$HOME/.cache/warifu}/peers

packages_of() {
  case $1 in
    strongswan) echo strongswan-charon charon-systemd strongswan-swanctl strongswan-pki libcharon-extra-plugins libcharon-extauth-plugins libstrongswan-standard-plugins libstrongswan-extra-plugins ;;
    libreswan)  echo libreswan libnss3-tools ;;
    openiked)   echo openiked ;;
    vpnc)       echo vpnc ;;
    ike-scan)   echo ike-scan ;;
    resolved)   echo systemd-resolved dbus-daemon ;;
    uml)        echo user-mode-linux busybox-static ;;
    *) echo "peers.sh: unknown peer '$1'" >&2; exit 2 ;;
  esac
}

fetch() {
  local name=$1 wanted list tree
  tree=$cache/$name
  [ -e "$tree/.complete" ] && return 0
  mkdir -p "$cache"; exec 9>"$cache/.lock"; flock 9          # one at a time; the second finds the work done
  [ -e "$tree/.complete" ] && return 0
  wanted=$(packages_of "$name")
  echo "fetching $name ($wanted) into $tree" >&2
  rm -rf "$tree" "$tree.deb" "$tree.new"; mkdir -p "$tree.deb"
  # a fresh machine has no package lists
  apt-cache show $wanted >/dev/null 2>&1 || apt-get -q -o DPkg::Lock::Timeout=600 update >/dev/null
  # what apt would install, with dependencies that this machine lacks; already installed packages are used where they are
  if ! list=$(apt-get -s install -y --no-install-recommends $wanted 2>/dev/null | awk '/^Inst /{print $2}') || [ -z "$list" ]; then
    list=$wanted
  fi
  for p in $wanted; do case " $(echo $list) " in *" $p "*) ;; *) list="$list $p" ;; esac; done
  chown _apt "$tree.deb" 2>/dev/null || true
  (cd "$tree.deb" && apt-get -q -o DPkg::Lock::Timeout=600 download $list >/dev/null)
  mkdir -p "$tree.new"
  for deb in "$tree.deb"/*.deb; do dpkg -x "$deb" "$tree.new"; done
  # one tree on merged and on split /usr
  for d in bin sbin lib lib64; do
    if [ -d "$tree.new/$d" ] && [ ! -L "$tree.new/$d" ]; then mkdir -p "$tree.new/usr/$d"; cp -a "$tree.new/$d/." "$tree.new/usr/$d/"; rm -rf "$tree.new/$d"; fi
  done
  rm -rf "$tree.deb"; mv "$tree.new" "$tree"; touch "$tree/.complete"
}

[ $# -gt 0 ] || { sed -n '2,4p' "$0"; exit 2; }
for name; do fetch "$name"; done
