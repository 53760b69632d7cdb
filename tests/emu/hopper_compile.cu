/*
 * hopper_compile.cu: the Hopper primitives of cuda/hw_ptx_sm90.h through the real compiler: no
 * kernel of the library uses them, so nothing else would show that they compile, without spills and
 * without serialised wgmma.
 */
#include "hopper_kernel.cuh"
#include "hopper_product.cuh"
