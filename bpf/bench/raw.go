package main

import "unsafe"

// bytePtr is a buffer's address for a raw system call; the caller keeps it
// alive by using it afterwards or by its lying on a locked thread's stack.
func bytePtr(b *[1]byte) uintptr { return uintptr(unsafe.Pointer(b)) }
