// Package wiretap stands between a host's libvirtd and all who call it, and
// breaks things at exactly one message of libvirt's RPC: the fault point of the
// tests of migrations. By sleeping, nobody hits the moment between a
// migration's end of transfer and its Finish.
//
//	tap, err := wiretap.Open("/proc/123/root/run/libvirt/libvirt-sock")
//	defer tap.Close()
//	stop := tap.Arm(wiretap.Finish, wiretap.Call)
//	<-stop.Reached() // the target's libvirtd has not seen Finish yet
//	stop.Cut()       // nor will it: both sides see the connection end
//
// In a peer-to-peer migration the agent calls Perform at the source's libvirtd,
// which calls Prepare and Finish at the target's; Begin and Confirm are no
// calls then. The tap takes the place of the socket that libvirtd made, so
// whatever way a migration's messages come (the relay's, in a lab), they come
// through it. It is for tests alone: no binary imports it.
package wiretap
