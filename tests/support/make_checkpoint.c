/*
 * make_checkpoint.c: see make_checkpoint.h.
 */
#include "make_checkpoint.h"
#include "run.h"

#include "dtype.h"
#include "checkpoint/source.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Any size on the CPU, a multiple of 8 on a GPU. */
static int32_t whole_shapes(int32_t size)
{
    return run_on_cuda() ? (size + 7) / 8 * 8 : size;
}

pp_model_config checkpoint_random_config(struct rng *rng)
{
    static const int32_t head_dims[] = {8, 16, 20, 32, 64};
    static const int32_t dtypes[] = {PP_DTYPE_F32, PP_DTYPE_BF16, PP_DTYPE_F16};
    pp_model_config config = {.struct_size = sizeof config};
    config.arch = rng_between(rng, 0, 1) ? PP_ARCH_MISTRAL : PP_ARCH_LLAMA;
    config.vocab_size = (int32_t)rng_between(rng, 50, 200);
    config.hidden_size = whole_shapes((int32_t)rng_between(rng, 20, 96));
    config.intermediate_size = whole_shapes((int32_t)rng_between(rng, 30, 150));
    config.n_layers = (int32_t)rng_between(rng, 1, 3);
    config.n_kv_heads = (int32_t)rng_between(rng, 1, 3);
    config.n_heads = config.n_kv_heads * (int32_t)rng_between(rng, 1, 4);
    config.head_dim = whole_shapes(head_dims[rng_between(rng, 0, 4)]);
    config.max_position = 4096;
    if (config.arch == PP_ARCH_MISTRAL && rng_between(rng, 0, 1))
        config.sliding_window = (int32_t)rng_between(rng, 1, 100);
    config.tie_embeddings = (int32_t)rng_between(rng, 0, 1);
    config.dtype = dtypes[rng_between(rng, 0, 2)];
    config.rms_norm_eps = 1e-5;
    config.rope_theta = 10000;
    config.bos_token = 1;
    config.eos_token = 2;
    return config;
}

static const struct {
    enum ppi_tensor tensor;
    const char *name; /* with %d: one for each layer */
} TENSORS[] = {
    {PPI_TENSOR_EMBED, "model.embed_tokens.weight"},
    {PPI_TENSOR_ATTN_NORM, "model.layers.%d.input_layernorm.weight"},
    {PPI_TENSOR_Q, "model.layers.%d.self_attn.q_proj.weight"},
    {PPI_TENSOR_K, "model.layers.%d.self_attn.k_proj.weight"},
    {PPI_TENSOR_V, "model.layers.%d.self_attn.v_proj.weight"},
    {PPI_TENSOR_O, "model.layers.%d.self_attn.o_proj.weight"},
    {PPI_TENSOR_MLP_NORM, "model.layers.%d.post_attention_layernorm.weight"},
    {PPI_TENSOR_GATE, "model.layers.%d.mlp.gate_proj.weight"},
    {PPI_TENSOR_UP, "model.layers.%d.mlp.up_proj.weight"},
    {PPI_TENSOR_DOWN, "model.layers.%d.mlp.down_proj.weight"},
    {PPI_TENSOR_FINAL_NORM, "model.norm.weight"},
    {PPI_TENSOR_LM_HEAD, "lm_head.weight"},
};

/* Without its files no test of the program means anything. */
__attribute__((noreturn)) static void bail_out(const char *what, const char *path)
{
    printf("Bail out! cannot %s %s\n", what, path);
    exit(EXIT_FAILURE);
}

static FILE *open_in(const char *dir, const char *name, const char *mode)
{
    char path[640];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, mode);
    if (!file)
        bail_out("open", path);
    return file;
}

static void close_written(FILE *file, const char *dir)
{
    bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed)
        bail_out("write to", dir);
}

static void write_rope_scaling(FILE *file, const pp_model_config *config)
{
    if (config->rope_type == PP_ROPE_LINEAR)
        fprintf(file, "\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": %.17g}, ",
                config->rope_factor);
    if (config->rope_type == PP_ROPE_LLAMA3)
        fprintf(file,
                "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": %.17g, "
                "\"low_freq_factor\": %.17g, \"high_freq_factor\": %.17g, "
                "\"original_max_position_embeddings\": %d}, ",
                config->rope_factor, config->rope_low_freq_factor, config->rope_high_freq_factor,
                config->rope_original_max_position);
}

static void write_config(const char *dir, const pp_model_config *config)
{
    FILE *file = open_in(dir, "config.json", "wb");
    bool llama = config->arch == PP_ARCH_LLAMA;
    fprintf(file,
            "{\"architectures\": [\"%s\"], \"model_type\": \"%s\", \"vocab_size\": %d, "
            "\"hidden_size\": %d, \"intermediate_size\": %d, \"num_hidden_layers\": %d, "
            "\"num_attention_heads\": %d, \"num_key_value_heads\": %d, \"head_dim\": %d, "
            "\"max_position_embeddings\": %d, \"tie_word_embeddings\": %s, "
            "\"rms_norm_eps\": %.17g, \"rope_theta\": %.17g, \"hidden_act\": \"silu\", "
            "\"bos_token_id\": 1, \"eos_token_id\": 2, ",
            llama ? "LlamaForCausalLM" : "MistralForCausalLM", llama ? "llama" : "mistral",
            config->vocab_size, config->hidden_size, config->intermediate_size, config->n_layers,
            config->n_heads, config->n_kv_heads, config->head_dim, config->max_position,
            config->tie_embeddings ? "true" : "false", config->rms_norm_eps, config->rope_theta);
    write_rope_scaling(file, config);
    if (config->sliding_window > 0)
        fprintf(file, "\"sliding_window\": %d}\n", config->sliding_window);
    else
        fprintf(file, "\"sliding_window\": null}\n");
    close_written(file, dir);
}

static void write_value(FILE *file, int32_t dtype, double value)
{
    float f32 = (float)value;
    uint16_t half = dtype == PP_DTYPE_BF16 ? ppi_f32_to_bf16(f32) : ppi_f32_to_f16(f32);
    if (dtype == PP_DTYPE_F32)
        fwrite(&f32, sizeof f32, 1, file);
    else
        fwrite(&half, sizeof half, 1, file);
}

/* Calls visit for every tensor of the checkpoint in order. */
static void each_tensor(const pp_model_config *config,
                        void (*visit)(void *user, const char *name, int64_t n_rows, int64_t n_cols),
                        void *user)
{
    for (size_t t = 0; t < PPI_COUNT(TENSORS); t++) {
        if (TENSORS[t].tensor == PPI_TENSOR_LM_HEAD && config->tie_embeddings)
            continue;
        int64_t n_rows, n_cols;
        ppi_tensor_shape(config, TENSORS[t].tensor, &n_rows, &n_cols);
        bool in_layer = strchr(TENSORS[t].name, '%') != NULL;
        for (int32_t layer = 0; layer < (in_layer ? config->n_layers : 1); layer++) {
            char name[128];
            size_t prefix = strcspn(TENSORS[t].name, "%");
            if (in_layer)
                snprintf(name, sizeof name, "%.*s%d%s", (int)prefix, TENSORS[t].name, layer,
                         TENSORS[t].name + prefix + 2);
            else
                snprintf(name, sizeof name, "%s", TENSORS[t].name);
            visit(user, name, n_rows, n_cols);
        }
    }
}

struct writer {
    FILE *file;
    const pp_model_config *config;
    struct rng *rng;
    int64_t offset;
};

static void write_entry(void *user, const char *name, int64_t n_rows, int64_t n_cols)
{
    struct writer *writer = user;
    static const char *const names[] = {"", "F32", "F16", "BF16"};
    int64_t bytes = n_rows * n_cols * (int64_t)pp_dtype_size(writer->config->dtype);
    char shape[64];
    if (strstr(name, "norm"))
        snprintf(shape, sizeof shape, "[%lld]", (long long)n_cols);
    else
        snprintf(shape, sizeof shape, "[%lld,%lld]", (long long)n_rows, (long long)n_cols);
    fprintf(writer->file, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%lld,%lld]}",
            writer->offset ? "," : "{", name, names[writer->config->dtype], shape,
            (long long)writer->offset, (long long)(writer->offset + bytes));
    writer->offset += bytes;
}

static void write_values(void *user, const char *name, int64_t n_rows, int64_t n_cols)
{
    struct writer *writer = user;
    bool norm = strstr(name, "norm") != NULL;
    bool embed = strstr(name, "embed") != NULL;
    double scale = norm ? 0.2 : embed ? 1 : 1.5 / sqrt((double)n_cols);
    for (int64_t i = 0; i < n_rows * n_cols; i++)
        write_value(writer->file, writer->config->dtype,
                    (norm ? 1 : 0) + scale * rng_normal(writer->rng));
}

static void write_weights(const char *dir, const pp_model_config *config, struct rng *rng)
{
    char *header = NULL;
    size_t header_bytes = 0;
    struct writer writer = {.config = config, .rng = rng};
    writer.file = open_memstream(&header, &header_bytes);
    each_tensor(config, write_entry, &writer);
    fprintf(writer.file, "}");
    fclose(writer.file);

    writer.file = open_in(dir, "model.safetensors", "wb");
    uint64_t length = header_bytes;
    fwrite(&length, sizeof length, 1, writer.file);
    fwrite(header, 1, header_bytes, writer.file);
    free(header);
    each_tensor(config, write_values, &writer);
    close_written(writer.file, dir);
}

char *checkpoint_write(const pp_model_config *config, struct rng *rng)
{
    const char *base = getenv("TMPDIR");
    char path[512];
    snprintf(path, sizeof path, "%s/prepack-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(path))
        bail_out("make", path);
    write_config(path, config);
    write_weights(path, config, rng);
    return strdup(path);
}

void checkpoint_poison(const char *dir, const pp_model_config *config, int32_t token)
{
    size_t row = (size_t)config->hidden_size * pp_dtype_size(config->dtype);
    FILE *file = open_in(dir, "model.safetensors", "r+b");
    uint64_t header_bytes;
    if (fread(&header_bytes, sizeof header_bytes, 1, file) != 1 ||
        fseek(file, (long)(sizeof header_bytes + header_bytes + row * (size_t)token), SEEK_SET))
        bail_out("read weights in", dir);
    for (size_t i = 0; i < row; i++)
        fputc(0xff, file);
    close_written(file, dir);
}

void checkpoint_remove(char *dir)
{
    DIR *listing = opendir(dir);
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        unlink(path);
    }
    if (listing)
        closedir(listing);
    rmdir(dir);
    free(dir);
}
