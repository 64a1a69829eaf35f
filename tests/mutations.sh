#!/bin/bash
# Plants the bugs of tests/mutations.txt in a copy of the sources, all in one build, and plays worlds with each, then crossings: at least 30 must come to a bad end.
# Those that survive show what the worlds do not reach yet.
# Usage: tests/mutations.sh [WORLDS [FIRST [LAST]]]      (300 worlds at most for each unless told; the first bad end counts; with FIRST only the bugs from that number on, and no least number of deaths)
set -euo pipefail
root=$(dirname "$(dirname "$(realpath "$0")")")
worlds=${1:-300} first=${2:-1} last=${3:-999}
. "$root/build/env.sh"
copy=$(mktemp -d); trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/src" "$copy/tests"
cp -r "$root/src/Warifu" "$copy/src/"; cp -r "$root/tests/Warifu.Simulation" "$copy/tests/"
cp "$root"/Directory.*.props "$root/global.json" "$copy/"
[ ! -f "$root/.editorconfig" ] || cp "$root/.editorconfig" "$copy/"
cat > "$copy/src/Warifu/Mutant.cs" <<'CS'
namespace Warifu;
internal static class Mutant
{
    private static readonly int s_planted = int.Parse(System.Environment.GetEnvironmentVariable("WARIFU_MUTANT") ?? "0", System.Globalization.CultureInfo.InvariantCulture);
    public static bool Is(int number) => s_planted == number;
}
CS
perl -e '
  use strict; my ($list, $copy) = @ARGV; my ($file, @from, @to); my $bad = 0;
  sub plant {
    return unless @from;
    my ($from, $to) = (join("\n", @from), join("\n", @to)); $to =~ s/\bIS\((\d+)\)/Warifu.Mutant.Is($1)/g;
    open(my $in, "<", "$copy/$file") or die "$file: $!"; local $/; my $text = <$in>; close $in;
    my $count = () = $text =~ /\Q$from\E/g;
    if ($count != 1) { print STDERR "$file: found $count times: $from\n"; $bad = 1; } else { $text =~ s/\Q$from\E/$to/; }
    open(my $out, ">", "$copy/$file"); print $out $text; close $out; @from = (); @to = ();
  }
  open(my $l, "<", $list) or die; while (<$l>) { chomp; next if /^#/; 
    if (/^= /) { plant(); } elsif (/^<(.*)/) { push @from, $1; } elsif (/^>(.*)/) { push @to, $1; } elsif (/\S/) { $file = $_; } }
  plant(); exit $bad;
' "$root/tests/mutations.txt" "$copy"
(cd "$copy" && dotnet build -c Release -v q -p:RunAnalyzers=false -p:TreatWarningsAsErrors=false -p:GenerateDocumentationFile=false tests/Warifu.Simulation/Warifu.Simulation.csproj > build.log 2>&1) || { grep error "$copy/build.log" | sort -u | head; exit 1; }
program=$copy/artifacts/bin/Warifu.Simulation/release/Warifu.Simulation
alive=0; dead=0
WARIFU_MUTANT=0 "$program" --worlds 300 > /dev/null || { echo "without a planted bug worlds end badly: repair that first"; exit 1; }
while read -r _ number what; do
  [ "$number" -ge "$first" ] && [ "$number" -le "$last" ] || continue
  # each in the worlds that speak its version
  ike=2; [[ $what != "IKEv1: "* ]] || ike=1
  if said=$(WARIFU_MUTANT=$number timeout 120 "$program" --ike $ike --worlds "$worlds" 2>&1 > /dev/null) && said=$(WARIFU_MUTANT=$number timeout 120 "$program" --ike $ike --crossings 2>&1); then
    alive=$((alive + 1)); echo "ALIVE $number $what"
  elif [ -z "$said" ]; then
    # a machine that is too slow has found nothing
    alive=$((alive + 1)); echo "SLOW  $number $what: no end within two minutes"
  else
    dead=$((dead + 1)); printf 'dead  %-2s %s: world %s: %s\n' "$number" "$what" "$(grep -o -- '--world [0-9]*' <<<"$said" | head -n 1 | cut -d' ' -f2)" "$(head -n 1 <<<"$said" | sed -E 's/^at [0-9:.]+: //' | cut -c1-110)"
  fi
done < <(grep '^= ' "$root/tests/mutations.txt")
echo "$dead planted bugs died, $alive survived"
[ $# -gt 1 ] || [ $dead -ge 30 ]
