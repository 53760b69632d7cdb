/*
 * gates.cu: what multiplies rows element by element: gates of attention and of a shared expert,
 * inputs of layers, a layer's own factor. Contracts are in kernels_layers.h. All of them wait for
 * memory: a thread has several quads under way.
 */
#include "cuda/activation.cuh"
#include "cuda/kernels_layers.h"
#include "cuda/quads.cuh"

using namespace ppi;

#define THREADS 256
#define IN_HAND 4 /* quads of a thread under way */
static_assert(IN_HAND * THREADS * 4 == PPI_CUDA_STRIDING_ELEMENTS, "what kernels.h says");

/* A thread takes IN_HAND quads at a time, THREADS apart: where it begins, and goes on. */
HW_DEVICE int64_t first_quad()
{
    return (int64_t)hw::block() * IN_HAND * THREADS + hw::thread();
}

HW_DEVICE int64_t next_quads()
{
    return (int64_t)hw::n_blocks() * IN_HAND * THREADS;
}

HW_DEVICE int64_t count_quads(const struct ppi_cuda_gate_args &args)
{
    return args.n_rows * (args.dim / 4);
}

/* ---- gate ---- Moves 8 bytes for each element. */

template <typename T> HW_DEVICE void gate(const struct ppi_cuda_gate_args &args)
{
    const int64_t n_quads = count_quads(args);
    T *a = (T *)args.a;
    for (int64_t first = first_quad(); first < n_quads; first += next_quads()) {
        raw_quad<T> raw[IN_HAND] = {};
        raw_quad<float> gates[IN_HAND] = {};
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (first + i * THREADS < n_quads) {
                raw[i] = load_quad(a + 4 * (first + i * THREADS));
                gates[i] = load_quad(args.gate + 4 * (first + i * THREADS));
            }
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++) {
            quad x = widen_quad(raw[i]), of = widen_quad(gates[i]);
            HW_UNROLL
            for (int j = 0; j < 4; j++)
                x.x[j] *= sigmoid(of.x[j]);
            if (first + i * THREADS < n_quads)
                store_quad(a + 4 * (first + i * THREADS), x);
        }
    }
}

HW_KERNEL(gate_bf16_kernel, struct ppi_cuda_gate_args, THREADS, 4)
{
    gate<hw::bf16>(args);
}

HW_KERNEL(gate_f16_kernel, struct ppi_cuda_gate_args, THREADS, 4)
{
    gate<hw::f16>(args);
}

/* ---- activate ---- Moves 10 bytes for each element. */

/* Where a quad of the rows is in x. */
HW_DEVICE int64_t find_in_x(const struct ppi_cuda_gate_args &args, int64_t i_quad)
{
    int64_t row = i_quad / (args.dim / 4);
    return row * args.x_stride + 4 * (i_quad - row * (args.dim / 4));
}

template <typename T, int ACTIVATION>
HW_DEVICE void activate_with(const struct ppi_cuda_gate_args &args)
{
    const int64_t n_quads = count_quads(args);
    for (int64_t first = first_quad(); first < n_quads; first += next_quads()) {
        raw_quad<float> gates[IN_HAND] = {}, raw[IN_HAND] = {};
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (first + i * THREADS < n_quads) {
                gates[i] = load_quad(args.gate + 4 * (first + i * THREADS));
                raw[i] = load_quad(args.x + find_in_x(args, first + i * THREADS));
            }
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++) {
            quad of = widen_quad(gates[i]), x = widen_quad(raw[i]);
            HW_UNROLL
            for (int j = 0; j < 4; j++)
                x.x[j] *= activate<ACTIVATION>(of.x[j]);
            if (first + i * THREADS < n_quads)
                store_quad((T *)args.a + 4 * (first + i * THREADS), x);
        }
    }
}

template <typename T> HW_DEVICE void activate_rows(const struct ppi_cuda_gate_args &args)
{
    if (args.activation == PPI_CUDA_SILU)
        activate_with<T, PPI_CUDA_SILU>(args);
    else
        activate_with<T, PPI_CUDA_GELU_TANH>(args);
}

HW_KERNEL(activate_bf16_kernel, struct ppi_cuda_gate_args, THREADS, 4)
{
    activate_rows<hw::bf16>(args);
}

HW_KERNEL(activate_f16_kernel, struct ppi_cuda_gate_args, THREADS, 4)
{
    activate_rows<hw::f16>(args);
}

/* ---- add_gated ---- Moves 12 bytes for each element. */

HW_KERNEL(add_gated_kernel, struct ppi_cuda_gate_args, THREADS, 4)
{
    const int64_t n_quads = count_quads(args), row_quads = args.dim / 4;
    for (int64_t first = first_quad(); first < n_quads; first += next_quads()) {
        raw_quad<float> out[IN_HAND] = {}, x[IN_HAND] = {};
        float gates[IN_HAND] = {};
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (first + i * THREADS < n_quads) {
                int64_t at = first + i * THREADS;
                out[i] = load_quad(args.out + 4 * at);
                x[i] = load_quad(args.x + find_in_x(args, at));
                gates[i] = args.gate[at / row_quads];
            }
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (first + i * THREADS < n_quads)
                store_quad(args.out + 4 * (first + i * THREADS),
                           add_quads(widen_quad(out[i]), widen_quad(x[i]),
                                     args.scale * sigmoid(gates[i])));
    }
}

/* ---- multiply ---- Quads, and at the end single elements. Moves 8 bytes for each. */

HW_KERNEL(multiply_kernel, struct ppi_cuda_multiply_args, THREADS, 4)
{
    const float factor = *args.factor;
    const int64_t n_quads = args.n / 4;
    for (int64_t first = first_quad(); first < n_quads; first += next_quads()) {
        raw_quad<float> raw[IN_HAND] = {};
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (first + i * THREADS < n_quads)
                raw[i] = load_quad(args.x + 4 * (first + i * THREADS));
        HW_UNROLL
        for (int i = 0; i < IN_HAND; i++)
            if (first + i * THREADS < n_quads)
                store_quad(args.x + 4 * (first + i * THREADS),
                           scale_quad(widen_quad(raw[i]), factor));
    }
    int64_t i = 4 * n_quads + (int64_t)hw::block() * THREADS + hw::thread();
    if (i < args.n)
        args.x[i] *= factor;
}

/* ---- tables ---- */

const struct ppi_cuda_kernel ppi_cuda_gate[PPI_CUDA_N_ACT] = {
    PPI_KERNEL_ENTRY(gate_bf16_kernel, THREADS, 0),
    PPI_KERNEL_ENTRY(gate_f16_kernel, THREADS, 0),
};
const struct ppi_cuda_kernel ppi_cuda_activate[PPI_CUDA_N_ACT] = {
    PPI_KERNEL_ENTRY(activate_bf16_kernel, THREADS, 0),
    PPI_KERNEL_ENTRY(activate_f16_kernel, THREADS, 0),
};
const struct ppi_cuda_kernel ppi_cuda_add_gated[1] = {
    PPI_KERNEL_ENTRY(add_gated_kernel, THREADS, 0)};
const struct ppi_cuda_kernel ppi_cuda_multiply[1] = {PPI_KERNEL_ENTRY(multiply_kernel, THREADS, 0)};
