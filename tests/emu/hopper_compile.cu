/*
 * hopper_compile.cu: the Hopper primitives of cuda/hw_ptx_sm90.h through the real compiler: some of
 * them (tensor maps, wgmma with both operands in shared memory) no kernel of the library uses, so
 * nothing else would show that they compile, without spills and without serialised wgmma.
 */
#include "hopper_kernel.cuh"
#include "hopper_product.cuh"
