/*
 * model_maker.c: model directories for tests.
 */
#define _GNU_SOURCE
#include "malformed/model_maker.h"

#include <check.h>
#include <dirent.h>
#include <ftw.h>
#include <unistd.h>

const char tiny_config[] =
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"vocab_size\":8,"
    "\"hidden_size\":4,\"intermediate_size\":6,\"num_hidden_layers\":1,\"num_attention_heads\":2,"
    "\"num_key_value_heads\":1,\"head_dim\":2,\"hidden_act\":\"silu\","
    "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-05,\"rope_theta\":10000.0,"
    "\"rope_scaling\":null,\"tie_word_embeddings\":false,\"bos_token_id\":1,\"eos_token_id\":2,"
    "\"torch_dtype\":\"bfloat16\"}";

static const struct {
    const char *name, *shape;
    int n_elements;
} tensors[TINY_N_TENSORS] = {
    {"model.embed_tokens.weight", "8,4", 32},
    {"model.layers.0.input_layernorm.weight", "4", 4},
    {"model.layers.0.self_attn.q_proj.weight", "4,4", 16},
    {"model.layers.0.self_attn.k_proj.weight", "2,4", 8},
    {"model.layers.0.self_attn.v_proj.weight", "2,4", 8},
    {"model.layers.0.self_attn.o_proj.weight", "4,4", 16},
    {"model.layers.0.post_attention_layernorm.weight", "4", 4},
    {"model.layers.0.mlp.gate_proj.weight", "6,4", 24},
    {"model.layers.0.mlp.up_proj.weight", "6,4", 24},
    {"model.layers.0.mlp.down_proj.weight", "4,6", 24},
    {"lm_head.weight", "8,4", 32},
    {"model.norm.weight", "4", 4},
};
#define FIRST_OF_SHARD_2 9

struct path make_dir(void)
{
    struct path dir;
    const char *base = getenv("TMPDIR");
    snprintf(dir.text, sizeof dir.text, "%s/prepack-test-XXXXXX", base ? base : "/tmp");
    ck_assert_msg(mkdtemp(dir.text) != NULL, "cannot make %s", dir.text);
    return dir;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *ftw)
{
    (void)info;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void remove_dir(const char *dir)
{
    nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

struct path path_in(const char *dir, const char *name)
{
    struct path path;
    int len = snprintf(path.text, sizeof path.text, "%s/%s", dir, name);
    ck_assert_int_lt(len, (int)sizeof path.text);
    return path;
}

void write_file(const char *dir, const char *name, const void *bytes, size_t len)
{
    FILE *file = fopen(path_in(dir, name).text, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, len, file), len);
    ck_assert_int_eq(fclose(file), 0);
}

char *read_file(const char *dir, const char *name, size_t *len)
{
    FILE *file = fopen(path_in(dir, name).text, "rb");
    ck_assert_ptr_nonnull(file);
    char *bytes = malloc(1 << 16);
    *len = fread(bytes, 1, 1 << 16, file);
    ck_assert_int_eq(fclose(file), 0);
    return bytes;
}

char *make_header(int first, int end, int lead)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(out);
    fputs("{\"__metadata__\":{\"format\":\"pt\"}", out);
    if (lead > 0)
        fprintf(out, ",\"lead\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[0,%d]}", lead,
                lead);
    int begin = lead;
    for (int i = first; i < end; i++) {
        fprintf(out, ",\"%s\":{\"dtype\":\"BF16\",\"shape\":[%s],\"data_offsets\":[%d,%d]}",
                tensors[i].name, tensors[i].shape, begin, begin + 2 * tensors[i].n_elements);
        begin += 2 * tensors[i].n_elements;
    }
    fputs("}", out);
    fclose(out);
    return text;
}

void write_safetensors(const char *dir, const char *name, const char *header, size_t header_len,
                       size_t data_len)
{
    uint64_t announced = header_len;
    FILE *file = fopen(path_in(dir, name).text, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(&announced, sizeof announced, 1, file), 1);
    ck_assert_uint_eq(fwrite(header, 1, header_len, file), header_len);
    for (size_t i = 0; i < data_len; i++)
        putc((int)((i * 7 + 3) & 0xff), file);
    ck_assert_int_eq(fclose(file), 0);
}

static void write_shard(const char *dir, const char *name, int first, int end)
{
    char *header = make_header(first, end, 0);
    size_t data_len = 0;
    for (int i = first; i < end; i++)
        data_len += (size_t)tensors[i].n_elements * 2;
    write_safetensors(dir, name, header, strlen(header), data_len);
    free(header);
}

void write_single(const char *dir)
{
    write_file(dir, "config.json", tiny_config, strlen(tiny_config));
    write_shard(dir, SINGLE_FILE, 0, TINY_N_TENSORS);
}

void write_sharded(const char *dir)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(out);
    fprintf(out, "{\"metadata\":{\"total_size\":%d},\"weight_map\":{", TINY_DATA_BYTES);
    for (int i = 0; i < TINY_N_TENSORS; i++)
        fprintf(out, "%s\"%s\":\"%s\"", i ? "," : "", tensors[i].name,
                i < FIRST_OF_SHARD_2 ? SHARD_1 : SHARD_2);
    fputs("}}", out);
    fclose(out);
    write_file(dir, "config.json", tiny_config, strlen(tiny_config));
    write_file(dir, INDEX_FILE, text, len);
    write_shard(dir, SHARD_1, 0, FIRST_OF_SHARD_2);
    write_shard(dir, SHARD_2, FIRST_OF_SHARD_2, TINY_N_TENSORS);
    free(text);
}

char *replaced(const char *text, const char *find, const char *with)
{
    const char *at = strstr(text, find);
    ck_assert_msg(at != NULL, "\"%s\" is not in the text", find);
    char *result;
    ck_assert_int_ge(asprintf(&result, "%.*s%s%s", (int)(at - text), text, with, at + strlen(find)),
                     0);
    return result;
}

int count_fds(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

pp_status open_files(const char *path, const struct ppi_log *log, struct opened_model *model,
                     pp_error *err)
{
    struct ppi_dir dir;
    PP_TRY(ppi_dir_open(path, &dir, err));
    PP_TRY(ppi_config_read(&dir, &model->mem, log, &model->config, err));
    pp_status status =
        ppi_tensors_open(&dir, &model->config, &model->mem, log, &model->tensors, err);
    if (status < 0)
        ppi_config_free(&model->config, &model->mem);
    return status;
}

void close_files(struct opened_model *model)
{
    ppi_tensors_close(&model->tensors, &model->mem);
    ppi_config_free(&model->config, &model->mem);
}

pp_status open_and_close(const char *dir, const struct ppi_log *log, pp_error *err)
{
    struct opened_model model;
    int n_fds = count_fds();
    ck_assert_int_eq(ppi_mem_init(&model.mem, NULL, 0, err), PP_OK);
    pp_status status = open_files(dir, log, &model, err);
    if (status >= 0)
        close_files(&model);
    ck_assert_int_eq(model.mem.bytes, 0);
    ck_assert_int_eq(count_fds(), n_fds);
    return status;
}
