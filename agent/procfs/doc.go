// Package procfs reads what the kernel says about a host and its threads.
// Make a reader with [Host] (or [New] over a captured tree) and ask it:
//
//	r := procfs.Host()
//	s, err := r.Schedstat(pid, tid) // run and wait time of one thread, ns
//
// Every answer is bounded and validated: a line that the kernel would not
// write is an error naming the file and what is wrong with it, never a zero.
// A thread or process that has ended answers with an error for which
// errors.Is(err, fs.ErrNotExist) holds.
package procfs
