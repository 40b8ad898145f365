#!/usr/bin/env bash
# Lets the other hypervisors' libvirtds reach this one's, and puts there what
# the guests boot from. Without authentication, since only the fleet's own
# private network can reach the address: not for any other network.
#
#   libvirt.sh ADDRESS
set -euo pipefail

address=$1
image=/var/lib/evenkeel-guests

sed -i 's/^#\?auth_tcp *=.*/auth_tcp = "none"/' /etc/libvirt/libvirtd.conf
grep -q '^auth_tcp = "none"' /etc/libvirt/libvirtd.conf
install -d /etc/systemd/system/libvirtd-tcp.socket.d
cat >/etc/systemd/system/libvirtd-tcp.socket.d/address.conf <<UNIT
[Socket]
ListenStream=
ListenStream=$address:16509
FreeBind=yes
UNIT
systemctl daemon-reload
systemctl stop libvirtd.service
systemctl enable --quiet libvirtd-tcp.socket
systemctl restart libvirtd-tcp.socket
systemctl start libvirtd.service

# A migrated guest finds the same kernel and initramfs at the same place.
install -d "$image/root/dev" "$image/root/proc" "$image/root/sys"
[[ -e $image/root/dev/console ]] || mknod -m 0600 "$image/root/dev/console" c 5 1
install -m 0755 /opt/evenkeel/bin/evenkeel-guest "$image/root/init"
(cd "$image/root" && find . -print0 | LC_ALL=C sort -z | cpio --null --create --format=newc --quiet) >"$image/initrd"
install -m 0644 "/boot/vmlinuz-$(uname -r)" "$image/vmlinuz"
