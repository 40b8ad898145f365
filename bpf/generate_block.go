package bpf

//go:generate go tool bpf2go -tags linux -target bpfel -cc clang-19 -strip llvm-strip-19 -type ek_block_vm -type ek_block_cpu -type ek_block_owner block block.bpf.c -- -I./include -I./headers -O2 -g -Wall -Werror -Wno-unused-parameter
