/*
 * make_checkpoint.c: see make_checkpoint.h.
 */
#include "make_checkpoint.h"
#include "sessions.h"
#include "write_tensors.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Any size on the CPU, a multiple of 8 on a GPU. */
static int32_t whole_shapes(int32_t size)
{
    return run_on_cuda() ? (size + 7) / 8 * 8 : size;
}

struct model_shape checkpoint_random_shape(struct rng *rng)
{
    static const int32_t head_dims[] = {8, 16, 20, 32, 64};
    static const int32_t dtypes[] = {PP_DTYPE_F32, PP_DTYPE_BF16, PP_DTYPE_F16};
    struct model_shape shape = {0};
    shape.arch = rng_between(rng, 0, 1) ? PP_ARCH_MISTRAL : PP_ARCH_LLAMA;
    shape.vocab_size = (int32_t)rng_between(rng, 50, 200);
    shape.hidden_size = whole_shapes((int32_t)rng_between(rng, 20, 96));
    shape.intermediate_size = whole_shapes((int32_t)rng_between(rng, 30, 150));
    shape.n_layers = (int32_t)rng_between(rng, 1, 3);
    shape.n_kv_heads = (int32_t)rng_between(rng, 1, 3);
    shape.n_heads = shape.n_kv_heads * (int32_t)rng_between(rng, 1, 4);
    shape.head_dim = whole_shapes(head_dims[rng_between(rng, 0, 4)]);
    shape.max_position = 4096;
    if (shape.arch == PP_ARCH_MISTRAL && rng_between(rng, 0, 1))
        shape.sliding_window = (int32_t)rng_between(rng, 1, 100);
    shape.tie_embeddings = (int32_t)rng_between(rng, 0, 1);
    shape.dtype = dtypes[rng_between(rng, 0, 2)];
    shape.norm_eps = 1e-5;
    shape.rope_theta = 10000;
    return shape;
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

static void write_config(const char *dir, const struct model_shape *shape)
{
    FILE *file = open_in(dir, "config.json", "wb");
    char *text = model_json(shape);
    fputs(text, file);
    free(text);
    close_written(file, dir);
}

static void add_layer(struct tensor_list *list, const struct model_shape *shape, int32_t layer)
{
    int64_t hidden = shape->hidden_size, inner = shape->intermediate_size;
    int64_t q = (int64_t)shape->n_heads * shape->head_dim;
    int64_t kv = (int64_t)shape->n_kv_heads * shape->head_dim;
    const struct {
        const char *name;
        int64_t n_rows, n_cols;
    } tensors[] = {
        {"input_layernorm", 0, hidden},   {"self_attn.q_proj", q, hidden},
        {"self_attn.k_proj", kv, hidden}, {"self_attn.v_proj", kv, hidden},
        {"self_attn.o_proj", hidden, q},  {"post_attention_layernorm", 0, hidden},
        {"mlp.gate_proj", inner, hidden}, {"mlp.up_proj", inner, hidden},
        {"mlp.down_proj", hidden, inner},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        char name[112];
        snprintf(name, sizeof name, "model.layers.%d.%s.weight", layer, tensors[i].name);
        tensor_list_add(list, name, tensors[i].n_rows, tensors[i].n_cols, 1);
    }
}

/* The embedding comes first: checkpoint_poison looks for it there. */
static void write_weights(const char *dir, const struct model_shape *shape, struct rng *rng)
{
    static struct tensor_list list;
    list.n = 0;
    tensor_list_add(&list, "model.embed_tokens.weight", shape->vocab_size, shape->hidden_size, 1);
    for (int32_t layer = 0; layer < shape->n_layers; layer++)
        add_layer(&list, shape, layer);
    tensor_list_add(&list, "model.norm.weight", 0, shape->hidden_size, 1);
    if (!shape->tie_embeddings)
        tensor_list_add(&list, "lm_head.weight", shape->vocab_size, shape->hidden_size, 1);
    tensor_list_write(&list, dir, 1, shape->dtype, rng);
}

char *checkpoint_write(const struct model_shape *shape, struct rng *rng)
{
    const char *base = getenv("TMPDIR");
    char path[512];
    snprintf(path, sizeof path, "%s/prepack-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(path))
        bail_out("make", path);
    write_config(path, shape);
    write_weights(path, shape, rng);
    return strdup(path);
}

void checkpoint_poison(const char *dir, const struct model_shape *shape, int32_t token)
{
    size_t row = (size_t)shape->hidden_size * pp_dtype_size(shape->dtype);
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
