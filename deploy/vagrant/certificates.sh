#!/usr/bin/env bash
# Runs on the machine that runs vagrant, before a host comes up: makes the CA
# of the fleet and a certificate for each host, once.
#
#   certificates.sh FOLDER NAME,ROLE,ADDRESS...
set -euo pipefail

folder=$1
shift

evenkeel=bin/evenkeel
[[ -x $evenkeel ]] || {
  echo "certificates: $evenkeel is missing; run: make build" >&2
  exit 1
}

# Hosts come up side by side, and each runs this.
mkdir -p "$folder"
exec 9>"$folder/.lock"
flock 9

[[ -e $folder/ca/ca.key ]] || "$evenkeel" certs init --dir "$folder/ca"
for host in "$@"; do
  IFS=, read -r name role address <<<"$host"
  [[ -e $folder/$name/host.key ]] && continue
  kind=agent
  [[ $role == witness ]] && kind=witness
  "$evenkeel" certs host --ca "$folder/ca" --kind "$kind" --name "$name" --ip "$address" --dns "$name" --out "$folder/$name"
done
