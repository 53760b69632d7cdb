/*
 * make_checkpoint.c: see make_checkpoint.h.
 */
#include "make_checkpoint.h"
#include "run.h"
#include "write_tensors.h"

#include <dirent.h>
#include <unistd.h>

/* Any size on the CPU, a multiple of 8 on a GPU. */
static int32_t whole_shapes(int32_t size)
{
    return run_on_cuda() ? (size + 7) / 8 * 8 : size;
}

struct checkpoint_config checkpoint_random_config(struct rng *rng)
{
    static const int32_t head_dims[] = {8, 16, 20, 32, 64};
    static const int32_t dtypes[] = {PP_DTYPE_F32, PP_DTYPE_BF16, PP_DTYPE_F16};
    struct checkpoint_config config = {.max_position = 4096};
    bool mistral = rng_between(rng, 0, 1) != 0;
    config.arch = mistral ? "mistral" : "llama";
    config.vocab_size = (int32_t)rng_between(rng, 50, 200);
    config.hidden_size = whole_shapes((int32_t)rng_between(rng, 20, 96));
    config.intermediate_size = whole_shapes((int32_t)rng_between(rng, 30, 150));
    config.n_layers = (int32_t)rng_between(rng, 1, 3);
    config.n_kv_heads = (int32_t)rng_between(rng, 1, 3);
    config.n_heads = config.n_kv_heads * (int32_t)rng_between(rng, 1, 4);
    config.head_dim = whole_shapes(head_dims[rng_between(rng, 0, 4)]);
    if (mistral && rng_between(rng, 0, 1))
        config.sliding_window = (int32_t)rng_between(rng, 1, 100);
    config.tie_embeddings = (int32_t)rng_between(rng, 0, 1);
    config.dtype = dtypes[rng_between(rng, 0, 2)];
    return config;
}

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

static void write_config(const char *dir, const struct checkpoint_config *config)
{
    FILE *file = open_in(dir, "config.json", "wb");
    bool llama = strcmp(config->arch, "llama") == 0;
    fprintf(file,
            "{\"architectures\": [\"%s\"], \"model_type\": \"%s\", \"vocab_size\": %d, "
            "\"hidden_size\": %d, \"intermediate_size\": %d, \"num_hidden_layers\": %d, "
            "\"num_attention_heads\": %d, \"num_key_value_heads\": %d, \"head_dim\": %d, "
            "\"max_position_embeddings\": %d, \"tie_word_embeddings\": %s, "
            "\"rms_norm_eps\": 1e-5, \"rope_theta\": 10000.0, \"hidden_act\": \"silu\", "
            "\"bos_token_id\": 1, \"eos_token_id\": 2, \"rope_scaling\": %s",
            llama ? "LlamaForCausalLM" : "MistralForCausalLM", config->arch, config->vocab_size,
            config->hidden_size, config->intermediate_size, config->n_layers, config->n_heads,
            config->n_kv_heads, config->head_dim, config->max_position,
            config->tie_embeddings ? "true" : "false",
            config->rope_scaling ? config->rope_scaling : "null");
    if (config->sliding_window > 0)
        fprintf(file, ", \"sliding_window\": %d}\n", config->sliding_window);
    else
        fprintf(file, ", \"sliding_window\": null}\n");
    close_written(file, dir);
}

static void add_layer(struct tensor_list *list, const struct checkpoint_config *config, int layer)
{
    const int64_t hidden = config->hidden_size, inter = config->intermediate_size;
    const int64_t q_dim = (int64_t)config->n_heads * config->head_dim;
    const int64_t kv_dim = (int64_t)config->n_kv_heads * config->head_dim;
    const struct {
        const char *name;
        int64_t n_rows, n_cols; /* n_rows 0: a vector */
    } tensors[] = {
        {"input_layernorm", 0, hidden},       {"self_attn.q_proj", q_dim, hidden},
        {"self_attn.k_proj", kv_dim, hidden}, {"self_attn.v_proj", kv_dim, hidden},
        {"self_attn.o_proj", hidden, q_dim},  {"post_attention_layernorm", 0, hidden},
        {"mlp.gate_proj", inter, hidden},     {"mlp.up_proj", inter, hidden},
        {"mlp.down_proj", hidden, inter},
    };
    for (size_t t = 0; t < sizeof tensors / sizeof *tensors; t++) {
        char name[112];
        snprintf(name, sizeof name, "model.layers.%d.%s.weight", layer, tensors[t].name);
        tensor_list_add(list, name, tensors[t].n_rows, tensors[t].n_cols, 1);
    }
}

/* The embedding comes first, where checkpoint_poison looks for it. */
static void write_weights(const char *dir, const struct checkpoint_config *config, struct rng *rng)
{
    struct tensor_list *list = calloc(1, sizeof *list);
    tensor_list_add(list, "model.embed_tokens.weight", config->vocab_size, config->hidden_size, 1);
    for (int layer = 0; layer < config->n_layers; layer++)
        add_layer(list, config, layer);
    tensor_list_add(list, "model.norm.weight", 0, config->hidden_size, 1);
    if (!config->tie_embeddings)
        tensor_list_add(list, "lm_head.weight", config->vocab_size, config->hidden_size, 1);
    tensor_list_write(list, dir, 1, config->dtype, rng);
    free(list);
}

char *checkpoint_write(const struct checkpoint_config *config, struct rng *rng)
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

void checkpoint_poison(const char *dir, const struct checkpoint_config *config, int32_t token)
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
