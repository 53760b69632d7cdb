/*
 * context.c: a session's context on one GPU: choosing and checking the device, the stream, loading
 * the kernels, the staging buffers. Nothing is allocated later but weights, KV pages and tables of
 * passes that outgrow their buffers.
 */
#include "cuda/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PASS_TOKENS 8192

/* "1:own:mma" -> device 1, own products, no kernels of one architecture; NULL or "" -> device 0. */
static pp_status parse_variant(struct ppi_backend *b, const char *variant, pp_error *err)
{
    const char *rest = variant ? variant : "";
    if (*rest >= '0' && *rest <= '9') {
        char *end;
        long number = strtol(rest, &end, 10);
        if (number <= INT16_MAX && (*end == 0 || *end == ':')) {
            b->device = (int32_t)number;
            rest = *end ? end + 1 : end;
        }
    }
    for (size_t n; *rest; rest += rest[n] == ':' ? n + 1 : n) {
        n = strcspn(rest, ":");
        if (n == 3 && memcmp(rest, "own", n) == 0)
            b->own_products = true;
        else if (n == 3 && memcmp(rest, "mma", n) == 0)
            b->any_attention = true;
        else
            return ppi_error(
                err, PP_ERR_NO_BACKEND,
                "device \"cuda:%s\": use \"cuda\" or \"cuda:N\" for GPU N, with \":own\" "
                "for products without cuBLASLt and \":mma\" for attention by mma.sync",
                variant);
    }
    return PP_OK;
}

static pp_status count_devices(int *n, pp_error *err)
{
    cudaError_t error = cudaGetDeviceCount(n);
    if (error == cudaSuccess && *n > 0)
        return PP_OK;
    cudaGetLastError();
    if (error == cudaErrorInsufficientDriver) {
        int runtime = 0;
        cudaRuntimeGetVersion(&runtime);
        return ppi_error(err, PP_ERR_NO_BACKEND,
                         "device \"cuda\": the NVIDIA driver is missing or too old for CUDA %d.%d; "
                         "update it, or use \"cpu\"",
                         runtime / 1000, runtime % 1000 / 10);
    }
    if (error == cudaSuccess || error == cudaErrorNoDevice)
        return ppi_error(err, PP_ERR_NO_BACKEND,
                         "device \"cuda\": the driver sees no NVIDIA GPU (is CUDA_VISIBLE_DEVICES "
                         "empty?); use \"cpu\"");
    return ppi_error(err, PP_ERR_NO_BACKEND, "device \"cuda\": %s; use \"cpu\"",
                     cudaGetErrorString(error));
}

static pp_status choose_device(struct ppi_backend *b, pp_error *err)
{
    int n, major, minor, n_sms, cache_bytes;
    PP_TRY(count_devices(&n, err));
    if (b->device >= n)
        return ppi_error(err, PP_ERR_NO_BACKEND,
                         "device \"cuda:%d\": this machine has %d GPU%s, numbered from 0",
                         b->device, n, n == 1 ? "" : "s");
    PP_TRY(ppi_cuda_check(cudaSetDevice(b->device), "cudaSetDevice", err));
    PP_TRY(
        ppi_cuda_check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, b->device),
                       "reading the compute capability", err));
    PP_TRY(
        ppi_cuda_check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, b->device),
                       "reading the compute capability", err));
    PP_TRY(ppi_cuda_check(cudaDeviceGetAttribute(&n_sms, cudaDevAttrMultiProcessorCount, b->device),
                          "counting multiprocessors", err));
    PP_TRY(ppi_cuda_check(cudaDeviceGetAttribute(&cache_bytes, cudaDevAttrL2CacheSize, b->device),
                          "reading the size of the cache", err));
    struct cudaDeviceProp properties;
    PP_TRY(ppi_cuda_check(cudaGetDeviceProperties(&properties, b->device), "reading the GPU's name",
                          err));
    snprintf(b->device_name, sizeof b->device_name, "%.63s", properties.name);
    ppi_cuda_write_pci_address(&properties, b->pci_address);
    b->compute_capability = 10 * major + minor;
    b->n_sms = n_sms;
    b->cache_bytes = cache_bytes;
    if (b->compute_capability < PPI_CUDA_OLDEST_CAPABILITY)
        return ppi_error(err, PP_ERR_NO_BACKEND,
                         "device \"cuda:%d\": %s has compute capability %d.%d; 8.0 (Ampere) or "
                         "newer is needed",
                         b->device, b->device_name, major, minor);
    return PP_OK;
}

static pp_status check_experts(const struct ppi_backend_params *params, pp_error *err)
{
    if (params->n_experts > PPI_CUDA_MAX_EXPERTS)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "device \"cuda\": the model has %d experts; it takes up to %d",
                         params->n_experts, PPI_CUDA_MAX_EXPERTS);
    if (params->expert_size % 8 != 0)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "device \"cuda\": the size of experts is %d; it needs a multiple of 8",
                         params->expert_size);
    return PP_OK;
}

static pp_status check_linear(const struct ppi_linear_shape *shape, pp_error *err)
{
    if (shape->k_dim % 4 != 0 || shape->k_dim > PPI_CUDA_MAX_LINEAR_K_DIM || shape->v_dim % 4 != 0)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "device \"cuda\": linear layers have heads of %d and %d; it needs "
                         "multiples of 4, the first up to %d",
                         shape->k_dim, shape->v_dim, PPI_CUDA_MAX_LINEAR_K_DIM);
    return PP_OK;
}

/* Kernels move 16 bytes at a time. */
static pp_status check_shapes(const struct ppi_backend_params *params, pp_error *err)
{
    for (int32_t c = 0; c < params->n_page_classes; c++) {
        int32_t head_dim = params->classes[c].head_dim;
        if (head_dim % 8 != 0 || head_dim > PPI_CUDA_MAX_HEAD_DIM)
            return ppi_error(err, PP_ERR_UNSUPPORTED,
                             "device \"cuda\": head_dim is %d; it needs a multiple of 8 up to %d",
                             head_dim, PPI_CUDA_MAX_HEAD_DIM);
    }
    if (params->hidden_size % 8 != 0 || params->intermediate_size % 8 != 0)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "device \"cuda\": hidden_size is %d and intermediate_size %d; it needs "
                         "multiples of 8",
                         params->hidden_size, params->intermediate_size);
    PP_TRY(check_experts(params, err));
    return params->linear ? check_linear(params->linear, err) : PP_OK;
}

static pp_status take_allocator(struct ppi_backend *b, pp_error *err)
{
    pp_device_allocator *allocator = &b->memory.allocator;
    b->memory.device = b->device;
    PP_TRY(ppi_struct_read(allocator, sizeof *allocator, b->params.device_allocator,
                           "pp_device_allocator", err));
    if (!allocator->allocate != !allocator->release)
        return ppi_error(err, PP_ERR_ARG, "pp_device_allocator needs both allocate and release");
    return PP_OK;
}

static pp_status open_stream(struct ppi_backend *b, pp_error *err)
{
    b->stream = b->params.stream;
    if (b->stream)
        return PP_OK;
    PP_TRY(ppi_cuda_check(cudaStreamCreateWithFlags(&b->stream, cudaStreamNonBlocking),
                          "creating a stream", err));
    b->owns_stream = true;
    return PP_OK;
}

/* The GPU's own kernels, if they pass their self-test and are not declined. */
static pp_status choose_attention(struct ppi_backend *b, pp_error *err)
{
    b->attention_capability = b->any_attention ? PPI_CUDA_ANY_CAPABILITY : b->compute_capability;
    PP_TRY(ppi_cuda_guard_attention(b, err));
    for (int32_t c = 0; c < b->params.n_page_classes; c++)
        b->attention[c] = ppi_cuda_choose_attention(b->attention_capability,
                                                    b->params.classes[c].head_dim, false);
    return PP_OK;
}

static pp_status take_staging(struct ppi_backend *b, pp_error *err)
{
    void *host;
    PP_TRY(ppi_cuda_check(cudaHostAlloc(&host, PPI_CUDA_STAGING_BYTES, cudaHostAllocDefault),
                          "pinned memory for transfers", err));
    b->staging = host;
    b->device_staging = ppi_cuda_alloc(b, PPI_CUDA_STAGING_BYTES);
    if (!b->device_staging)
        return ppi_error(err, PP_ERR_DEVICE_NOMEM,
                         "no device memory for the staging buffer (%zu bytes)",
                         PPI_CUDA_STAGING_BYTES);
    return PP_OK;
}

void ppi_cuda_close(struct ppi_backend *b)
{
    if (!b)
        return;
    cudaSetDevice(b->device);
    if (b->stream)
        cudaStreamSynchronize(b->stream); /* nothing may use what is freed below */
    ppi_cuda_linear_destroy(b);
    ppi_cuda_experts_destroy(b);
    ppi_cuda_products_destroy(b);
    ppi_cuda_passes_free(b);
    ppi_cuda_varlen_close(b);
    ppi_cuda_marks_free(b);
    ppi_cuda_release(b, b->device_staging, PPI_CUDA_STAGING_BYTES);
    if (b->staging)
        cudaFreeHost(b->staging);
    if (b->owns_stream)
        cudaStreamDestroy(b->stream);
    ppi_free(b->params.mem, b);
}

/* In the order in which ppi_cuda_close can undo a part of it. */
static pp_status build(struct ppi_backend *b, const char *variant, pp_error *err)
{
    PP_TRY(parse_variant(b, variant, err));
    PP_TRY(check_shapes(&b->params, err));
    PP_TRY(choose_device(b, err));
    PP_TRY(take_allocator(b, err));
    PP_TRY(ppi_cuda_load_kernels(b->compute_capability, err));
    PP_TRY(open_stream(b, err));
    PP_TRY(take_staging(b, err));
    PP_TRY(ppi_cuda_passes_create(b, err));
    PP_TRY(choose_attention(b, err));
    PP_TRY(ppi_cuda_products_create(b, err));
    PP_TRY(ppi_cuda_experts_create(b, err));
    return ppi_cuda_linear_create(b, err);
}

pp_status ppi_cuda_open(const struct ppi_backend_params *params, struct ppi_backend **out,
                        pp_error *err)
{
    struct ppi_backend *b = ppi_zalloc(params->mem, 1, sizeof *b);
    if (!b)
        return ppi_error_nomem(err, "a CUDA context", sizeof *b);
    b->params = *params;
    b->params.variant = NULL; /* the caller's text */
    b->act = params->dtype == PP_DTYPE_BF16 ? 0 : 1;
    b->act_type = params->dtype == PP_DTYPE_BF16 ? PPI_CUDA_BF16 : PPI_CUDA_F16;
    b->act_bytes = sizeof(uint16_t);
    int32_t wanted = params->max_pass_tokens ? params->max_pass_tokens : DEFAULT_PASS_TOKENS;
    b->max_pass_tokens = (int32_t)ppi_round_up(wanted, PPI_CUDA_ROW_PADDING);
    pp_status status = build(b, params->variant, err);
    b->params.device_allocator = NULL;
    if (status < 0) {
        ppi_cuda_close(b);
        return status;
    }
    *out = b;
    return PP_OK;
}

void ppi_cuda_get_info(const struct ppi_backend *b, struct ppi_backend_info *info)
{
    memset(info, 0, sizeof *info);
    snprintf(info->name, sizeof info->name, "cuda:%d%s%s", b->device, b->own_products ? ":own" : "",
             b->any_attention ? ":mma" : "");
    info->page_tokens = PPI_CUDA_PAGE_TOKENS;
    for (int32_t c = 0; c < b->params.n_page_classes; c++)
        info->page_bytes[c] = (int64_t)ppi_cuda_page_bytes(b, c);
    info->chunk_tokens = PPI_CUDA_ATTENTION_KEYS;
    info->max_pass_tokens = b->max_pass_tokens;
    info->row_padding = PPI_CUDA_ROW_PADDING;
    info->weight_domain = b->device;
    info->has_own_memory = true;
    info->cache_bytes = b->cache_bytes;
    memcpy(info->device_name, b->device_name, sizeof info->device_name);
    memcpy(info->pci_address, b->pci_address, sizeof info->pci_address);
    snprintf(info->attention, sizeof info->attention, "%s", b->attention[0].name);
}

void ppi_cuda_get_memory(const struct ppi_backend *b, struct ppi_backend_memory *memory)
{
    size_t free_bytes = 0, total = 0;
    memory->bytes = atomic_load(&b->bytes);
    memory->peak = atomic_load(&b->peak);
    cudaSetDevice(b->device);
    bool known =
        !b->memory.allocator.allocate && cudaMemGetInfo(&free_bytes, &total) == cudaSuccess;
    memory->available = known ? (int64_t)free_bytes : 0;
}

void ppi_cuda_set_limit(struct ppi_backend *b, int64_t bytes)
{
    b->limit = bytes;
}
