#!/bin/bash
# Makes the dictionary of the PSK rules, src/Warifu.App/Configuration/Words/words.txt, from Debian's wamerican, and copies its licence beside it.
# Usage: build/words.sh            The result is data of the repository: run this only to renew it.
# Form: comment lines begin with '#'. Each other line holds up to 64 words in ASCII order; a word is one character '0' + N (N = letters that it shares with the word before it, 0 at the
# beginning of a line) and the letters that follow. So a line can be found by binary search without reading the others.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."
out=src/Warifu.App/Configuration/Words
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
(cd "$work" && apt-get -q download wamerican >/dev/null 2>&1 && dpkg-deb -x wamerican_*.deb .)
version=$(dpkg-deb -f "$work"/wamerican_*.deb Version)
cp "$work/usr/share/doc/wamerican/copyright" "$out/LICENSE.txt"
# what people take for passwords and no dictionary has
ours="abcdef abcdefgh admin asdf asdfgh asdfghjkl azerty cisco fortinet iloveyou ikev ipsec isakmp juniper junos letmein libreswan login mikrotik passwd psk qwerty qwertz qwertyuiop strongswan sysadmin trustno vpn warifu zxcv zxcvbn zxcvbnm"
{
  echo "# $(grep -c . <(sed "s/'s\$//" "$work/usr/share/dict/american-english")) entries of Debian's wamerican $version (SCOWL, Copyright 2000-2011 by Kevin Atkinson and others: LICENSE.txt), made by build/words.sh:"
  echo "# modified: folded to ASCII lower case, possessives and words of less than 3 letters left out, a few common passwords added."
  { sed "s/'s\$//" "$work/usr/share/dict/american-english" | iconv -f utf-8 -t ascii//TRANSLIT; tr ' ' '\n' <<<"$ours"; } | tr A-Z a-z | grep -E '^[a-z]{3,31}$' | LC_ALL=C sort -u |
    awk '{
      shared = 0
      if (n % 64) while (shared < length(last) && substr(last, shared + 1, 1) == substr($0, shared + 1, 1)) shared++
      else if (n) printf "\n"
      printf "%c%s", 48 + shared, substr($0, shared + 1)
      last = $0; n++
    } END { printf "\n" }'
} >"$work/words.txt"
mv "$work/words.txt" "$out/words.txt"
