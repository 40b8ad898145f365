#!/usr/bin/env bash
# Installs evenkeel on this host, writes its agent.yaml and starts the daemon.
# Run it again after a new build: vagrant rsync && vagrant provision.
#
#   evenkeel.sh NAME ROLE ADDRESS FOUNDER_ADDRESS...
set -euo pipefail

name=$1 role=$2 address=$3
shift 3
founders=("$@")
source=/opt/evenkeel

getent group evenkeel >/dev/null || groupadd --system evenkeel
install -m 0755 "$source/bin/evenkeeld" "$source/bin/evenkeel" /usr/bin/
install -d -m 0755 /etc/evenkeel /etc/evenkeel/tls
install -m 0644 "$source/tls/ca.pem" "$source/tls/host.pem" /etc/evenkeel/tls/
install -m 0600 "$source/tls/host.key" /etc/evenkeel/tls/

# The cluster's id stands in its CA's certificate.
cluster=$(openssl x509 -in /etc/evenkeel/tls/ca.pem -noout -ext subjectAltName |
  sed -n 's|.*evenkeel://\([0-9a-f-]*\)/ca.*|\1|p')
[[ $cluster ]] || {
  echo "evenkeel: no cluster id in $source/tls/ca.pem" >&2
  exit 1
}

config() {
  echo "role: $role"
  echo "host: {name: $name}"
  echo "cluster:"
  echo "  id: $cluster"
  echo "  peers: [$(printf '"%s:7471", ' "${founders[@]}" | sed 's/, $//')]"
  if [[ " ${founders[*]} " == *" $address "* ]]; then
    echo "  bootstrapExpect: ${#founders[@]}"
  fi
  echo "listen: {api: \"$address:7470\", cluster: \"$address:7471\"}"
  if [[ $role == hypervisor ]]; then
    echo "migration: {transport: tcp, address: $address}"
  fi
  echo "lab: true"
}
config >/etc/evenkeel/agent.yaml

install -m 0644 "$source/deploy/systemd/evenkeeld.service" /etc/systemd/system/
systemctl daemon-reload
systemctl enable --quiet evenkeeld.service
systemctl restart evenkeeld.service
