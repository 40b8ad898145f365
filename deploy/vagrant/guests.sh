#!/usr/bin/env bash
# Starts four guests on this hypervisor, each of which wants a CPU for itself.
# Their heartbeats are in /var/log/libvirt/qemu/busyN.serial.log.
set -euo pipefail

image=/var/lib/evenkeel-guests
type=qemu
[[ -e /dev/kvm ]] && type=kvm

for name in busy1 busy2 busy3 busy4; do
  virsh --quiet domstate "$name" >/dev/null 2>&1 && continue
  virsh --quiet create /dev/stdin <<XML
<domain type='$type'>
  <name>$name</name>
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>$image/vmlinuz</kernel>
    <initrd>$image/initrd</initrd>
    <cmdline>console=ttyS0 quiet loglevel=1 panic=-1 ek.load=cpu:100</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <on_crash>destroy</on_crash>
  <devices>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'>
      <source path='/var/log/libvirt/qemu/$name.serial.log' append='on'/>
      <target port='0'/>
    </serial>
  </devices>
</domain>
XML
  echo "started $name"
done
