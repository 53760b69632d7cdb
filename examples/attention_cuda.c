/*
 * attention_cuda.c: attention in a CUDA program of one's own. The tensors, the stream and the
 * workspace are this program's; libprepack plans on the host, once for all layers, and enqueues its
 * kernels. The result is compared with a plain computation on the CPU.
 *
 *     cc attention_cuda.c $(pkg-config --cflags --libs prepack) -lcudart -lm
 */
#include <prepack/prepack.h>

#include <cuda_runtime_api.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_PROMPTS = 4, TOTAL = 109, N_HEADS = 8, N_KV_HEADS = 2, HEAD_DIM = 64, N_LAYERS = 2 };
enum { ROW = (N_HEADS + 2 * N_KV_HEADS) * HEAD_DIM }; /* q, k and v of a token side by side */

static const int32_t cu_seqlens[N_PROMPTS + 1] = {0, 5, 75, 76, TOTAL};

static uint16_t qkv[TOTAL][ROW], out[TOTAL][N_HEADS][HEAD_DIM]; /* bf16 */

static float from_bf16(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void fill_inputs(void)
{
    uint32_t state = 1;
    for (int i = 0; i < TOTAL; i++)
        for (int j = 0; j < ROW; j++) {
            state = state * 1664525 + 1013904223;
            float value = ((float)(state >> 8) / (1 << 24) - 0.5f) * 4; /* -2 to 2 */
            uint32_t bits;
            memcpy(&bits, &value, sizeof bits);
            qkv[i][j] = (uint16_t)(bits >> 16);
        }
}

/* Element d of what the tokens from `first` to `row` give for one head of `row`. */
static double expected(int first, int row, int head, int d)
{
    int k_at = N_HEADS * HEAD_DIM + head / (N_HEADS / N_KV_HEADS) * HEAD_DIM;
    int v_at = k_at + N_KV_HEADS * HEAD_DIM;
    double sum = 0, total = 0;
    for (int j = first; j <= row; j++) {
        double score = 0;
        for (int e = 0; e < HEAD_DIM; e++)
            score += (double)from_bf16(qkv[row][head * HEAD_DIM + e]) *
                     (double)from_bf16(qkv[j][k_at + e]);
        double weight = exp(score / sqrt(HEAD_DIM));
        total += weight;
        sum += weight * (double)from_bf16(qkv[j][v_at + d]);
    }
    return sum / total;
}

static double largest_error(void)
{
    double largest = 0;
    for (int p = 0; p < N_PROMPTS; p++)
        for (int row = cu_seqlens[p]; row < cu_seqlens[p + 1]; row++)
            for (int head = 0; head < N_HEADS; head++)
                for (int d = 0; d < HEAD_DIM; d += 7) {
                    double error = fabs((double)from_bf16(out[row][head][d]) -
                                        expected(cu_seqlens[p], row, head, d));
                    largest = isnan(error) || error > largest ? error : largest;
                }
    return largest;
}

/* Attention of every layer, from the tensor in device_qkv to device_out. */
static pp_status attend(pp_session *session, const pp_attention_plan *plan, uint16_t *device_qkv,
                        void *device_out, void *stream, pp_error *err)
{
    pp_attention_params tensors;
    pp_attention_params_init(&tensors, sizeof tensors);
    tensors.q = device_qkv;
    tensors.k = device_qkv + N_HEADS * HEAD_DIM;
    tensors.v = device_qkv + (N_HEADS + N_KV_HEADS) * HEAD_DIM;
    tensors.q_row_stride = tensors.k_row_stride = tensors.v_row_stride = ROW;
    tensors.out = device_out;
    tensors.stream = stream;
    for (int layer = 0; layer < N_LAYERS; layer++) { /* a model would have other tensors in each */
        pp_status status = pp_attention_varlen(session, plan, &tensors, err);
        if (status < 0)
            return status;
    }
    return PP_OK;
}

static int cuda_failed(cudaError_t error)
{
    if (error != cudaSuccess)
        fprintf(stderr, "attention_cuda: %s\n", cudaGetErrorString(error));
    return error != cudaSuccess;
}

int main(void)
{
    pp_error err = {.struct_size = sizeof err};
    pp_session_info device = {.struct_size = sizeof device};
    pp_attention_plan_info info = {.struct_size = sizeof info};
    pp_session *session = NULL;
    pp_attention_plan *plan = NULL;
    cudaStream_t stream = NULL;
    void *device_qkv = NULL, *device_out = NULL, *workspace = NULL;
    int exit_status = 1, n_devices = 0;

    if (cudaGetDeviceCount(&n_devices) != cudaSuccess || n_devices == 0) {
        printf("attention_cuda: no NVIDIA GPU here, nothing was run\n");
        return 77;
    }
    fill_inputs();
    if (cuda_failed(cudaStreamCreate(&stream)) ||
        cuda_failed(cudaMalloc(&device_qkv, sizeof qkv)) ||
        cuda_failed(cudaMalloc(&device_out, sizeof out)) ||
        cuda_failed(cudaMemcpyAsync(device_qkv, qkv, sizeof qkv, cudaMemcpyHostToDevice, stream)))
        goto done;

    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.device = "cuda";
    pp_attention_plan_params shape;
    pp_attention_plan_params_init(&shape, sizeof shape); /* causal unless it says otherwise */
    shape.dtype = PP_DTYPE_BF16;
    shape.n_heads = N_HEADS;
    shape.n_kv_heads = N_KV_HEADS;
    shape.head_dim = HEAD_DIM;
    shape.n_prompts = N_PROMPTS;
    shape.cu_seqlens_q = shape.cu_seqlens_k = cu_seqlens;
    if (pp_session_create(NULL, &params, &session, &err) < 0 ||
        pp_session_get_info(session, &device, &err) < 0 ||
        pp_attention_plan_create(session, &shape, &plan, &err) < 0 ||
        pp_attention_plan_get_info(plan, &info, &err) < 0)
        goto done;
    if (cuda_failed(cudaMalloc(&workspace, info.workspace_bytes)))
        goto done;
    if (pp_attention_plan_upload(plan, workspace, info.workspace_bytes, stream, &err) < 0 ||
        attend(session, plan, device_qkv, device_out, stream, &err) < 0)
        goto done;
    if (cuda_failed(cudaMemcpyAsync(out, device_out, sizeof out, cudaMemcpyDeviceToHost, stream)) ||
        cuda_failed(cudaStreamSynchronize(stream)))
        goto done;

    double error = largest_error(), allowed = 0.02; /* bf16 has 8 bits */
    exit_status = error <= allowed ? 0 : 1;
    printf("attention_cuda: %d prompts, %d tokens in %lld tiles on %s: largest error %.4f, allowed "
           "%.4f\n",
           N_PROMPTS, TOTAL, (long long)info.n_tiles, device.device_name, error, allowed);
done:
    if (err.code < 0)
        fprintf(stderr, "attention_cuda: %s\n", err.message);
    pp_attention_plan_destroy(plan);
    pp_session_destroy(session);
    cudaFree(workspace);
    cudaFree(device_out);
    cudaFree(device_qkv);
    if (stream)
        cudaStreamDestroy(stream);
    return exit_status;
}
