#!/usr/bin/env bash
# Installs what a host of the fleet needs from Debian. With all there it touches
# neither apt nor the network.
#
#   packages.sh hypervisor|witness
set -euo pipefail

role=$1
wanted=(ca-certificates openssl systemd-timesyncd)
if [[ $role == hypervisor ]]; then
  wanted+=(libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils iproute2 cpio)
fi
missing=()
for package in "${wanted[@]}"; do
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends "${missing[@]}"
