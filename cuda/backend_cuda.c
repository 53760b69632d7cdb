/*
 * backend_cuda.c: the CUDA backend's table of operations, and the one function that the module
 * exports.
 */
#include "build_id.h"
#include "cuda/context.h"
#include "module.h"

static bool supports_format(int32_t dtype, int32_t format)
{
    (void)dtype;
    return format == PPI_FORMAT_ACT;
}

static bool supports_dtype(int32_t dtype)
{
    return dtype == PP_DTYPE_BF16 || dtype == PP_DTYPE_F16;
}

static const struct ppi_backend_ops ops = {
    .name = "cuda",
    .supports_dtype = supports_dtype,
    .supports_format = supports_format,
    .default_dtype = PP_DTYPE_BF16,
    .describe = ppi_cuda_describe,
    .open = ppi_cuda_open,
    .close = ppi_cuda_close,
    .get_info = ppi_cuda_get_info,
    .get_memory = ppi_cuda_get_memory,
    .set_limit = ppi_cuda_set_limit,
    .alloc = ppi_cuda_alloc,
    .release = ppi_cuda_release,
    .upload = ppi_cuda_upload,
    .download_rows = ppi_cuda_download_rows,
    .matrix_bytes = ppi_cuda_matrix_bytes,
    .matrix_create = ppi_cuda_matrix_create,
    .matrix_fill = ppi_cuda_matrix_fill,
    .matrix_destroy = ppi_cuda_matrix_destroy,
    .prepare = ppi_cuda_prepare,
    .pass_begin = ppi_cuda_pass_begin,
    .embed = ppi_cuda_run_embed,
    .norm = ppi_cuda_run_norm,
    .norm_add = ppi_cuda_run_norm_add,
    .norm_parts = ppi_cuda_run_norm_parts,
    .matmul = ppi_cuda_matmul,
    .gate_up = ppi_cuda_gate_up,
    .route = ppi_cuda_run_route,
    .experts = ppi_cuda_run_experts,
    .linear = ppi_cuda_run_linear,
    .gate = ppi_cuda_run_gate,
    .activate = ppi_cuda_run_activate,
    .add_gated = ppi_cuda_run_add_gated,
    .multiply = ppi_cuda_run_multiply,
    .softcap = ppi_cuda_run_softcap,
    .rope_kv = ppi_cuda_run_rope_kv,
    .attention = ppi_cuda_run_attention,
    .gather_rows = ppi_cuda_run_gather,
    .sample = ppi_cuda_run_sample,
    .score = ppi_cuda_run_score,
    .kv_read = ppi_cuda_run_kv_read,
    .kv_write = ppi_cuda_run_kv_write,
    .kv_layout = ppi_cuda_kv_layout,
    .copy = ppi_cuda_copy,
    .synchronize = ppi_cuda_synchronize,
    .mark = ppi_cuda_mark,
    .marked_seconds = ppi_cuda_marked_seconds,
    .product_times = ppi_cuda_compare_products,
    .varlen_plan_create = ppi_cuda_varlen_plan_create,
    .varlen_plan_destroy = ppi_cuda_varlen_plan_destroy,
    .varlen_upload = ppi_cuda_varlen_upload,
    .varlen_run = ppi_cuda_varlen_run,
};

__attribute__((visibility("default"))) const struct ppi_module *ppi_backend_module(void);

const struct ppi_module *ppi_backend_module(void)
{
    static const struct ppi_module module = {.build_id = PPI_BUILD_ID, .ops = &ops};
    return &module;
}
