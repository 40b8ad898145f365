#!/usr/bin/env bash
# Installs what a host of the fleet needs from Debian.
#
#   packages.sh hypervisor|witness
set -euo pipefail

role=$1
packages=(ca-certificates openssl)
if [[ $role == hypervisor ]]; then
  packages+=(libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils iproute2 cpio)
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends "${packages[@]}"
