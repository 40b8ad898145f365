package bpf

//go:generate go tool bpf2go -tags linux -target bpfel -cc clang-19 -strip llvm-strip-19 -type ek_thread -type ek_slots -type ek_open -type ek_cpu -type ek_level sched sched.bpf.c -- -I./include -I./headers -O2 -g -Wall -Werror -Wno-unused-parameter
