/*
 * test_heads.c: what stands behind the last norm of a model: an LM head, scores of labels, nothing;
 * by config.json, by the names of stored tensors and in GGUF files; and what files recommend for
 * pooling hidden states.
 */
#define _GNU_SOURCE
#include "malformed/model_maker.h"
#include "model/model_impl.h"
#include "support/gguf_text.h"
#include "support/tap.h"

#include <prepack/outputs.h>
#include <prepack/session.h>

#include <check.h>
#include <sys/stat.h>

static char last_warning[512];
static struct ppi_mem mem;

static void keep_warning(void *user, int32_t level, const char *message)
{
    (void)user;
    if (level == PP_LOG_WARNING)
        snprintf(last_warning, sizeof last_warning, "%s", message);
}

static const struct ppi_log KEEP = {.fn = keep_warning};

/* What was said, or nothing where `part` is "". */
static void expect_said(const char *part)
{
    if (part[0])
        ck_assert_msg(strstr(last_warning, part) != NULL, "\"%s\" is not \"%s\"", last_warning,
                      part);
    else
        ck_assert_str_eq(last_warning, "");
}

/* The text may use ' for ". */
static void parse(const char *text, struct ppi_config *config)
{
    pp_error err = {.struct_size = sizeof err};
    char *copy = strdup(text);
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    last_warning[0] = '\0';
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    pp_status status = ppi_config_parse(copy, strlen(copy), "config", &mem, &KEEP, config, &err);
    ck_assert_msg(status == PP_OK, "%s: %s", text, err.message);
    free(copy);
}

/* ---- by config.json ---- */

#define CLASS(type, name) "{'model_type':'" type "','architectures':['" name "']"

static const struct {
    const char *text;
    bool has_lm_head;
    int32_t n_labels;
    bool tied;
    float logit_scale, logit_softcap;
    const char *warning;
} HEADS[] = {
    {"{'model_type':'qwen3'}", true, 0, false, 1, 0, ""},
    {CLASS("qwen3", "Qwen3ForCausalLM") ",'num_labels':5}", true, 0, false, 1, 0, ""},
    {CLASS("qwen3", "Qwen3Model") "}", false, 0, false, 1, 0, ""},
    {CLASS("qwen3", "Qwen3Model") ",'tie_word_embeddings':true}", false, 0, false, 1, 0, ""},
    {"{'architectures':['Qwen2ForSequenceClassification']}", false, 2, false, 1, 0, ""},
    {CLASS("llama", "LlamaForSequenceClassification") ",'num_labels':1}", false, 1, false, 1, 0,
     ""},
    {CLASS("llama", "LlamaForSequenceClassification") ",'num_labels':null,'id2label':null}", false,
     2, false, 1, 0, ""},
    {CLASS("mistral", "MistralForSequenceClassification") ",'id2label':{'0':'a','1':'b','2':'c'}}",
     false, 3, false, 1, 0, ""},
    {CLASS("mistral", "MistralForSequenceClassification") ",'num_labels':2,'id2label':{'0':'a','1':"
                                                          "'b','2':'c'}}",
     false, 3, false, 1, 0, "\"num_labels\" is 2, but \"id2label\" has 3 entries, which count"},
    {CLASS("mistral", "MinistralForSequenceClassification") ",'layer_types':null}", false, 2, false,
     1, 0, ""},
    {CLASS("gemma2", "Gemma2ForCausalLM") "}", true, 0, true, 1, 30, ""},
    {CLASS("gemma2", "Gemma2Model") "}", false, 0, false, 1, 30, ""},
    {CLASS("gemma2", "Gemma2ForSequenceClassification") "}", false, 2, false, 1, 0, ""},
    {CLASS("gemma3_text", "Gemma3TextModel") "}", false, 0, false, 1, 0, ""},
    {CLASS("gemma3_text", "Gemma3TextForSequenceClassification") ",'num_labels':7}", false, 7,
     false, 1, 0, ""},
    {CLASS("gemma3", "Gemma3Model") ",'text_config':{}}", false, 0, false, 1, 0, ""},
    {CLASS(
         "gemma3",
         "Gemma3ForSequenceClassification") ",'num_labels':4,'text_config':{'id2label':{'0':'a'}}}",
     false, 4, false, 1, 0, ""},
    {CLASS("cohere2", "Cohere2Model") "}", false, 0, false, 0.0625f, 0, ""},
    {CLASS("phi3", "Phi3ForSequenceClassification") "}", false, 2, false, 1, 0, ""},
};

START_TEST(reads_heads)
{
    struct ppi_config config;
    parse(HEADS[_i].text, &config);
    const struct ppi_model_spec *spec = &config.spec;
    ck_assert_int_eq(spec->has_lm_head, HEADS[_i].has_lm_head);
    ck_assert_int_eq(spec->n_labels, HEADS[_i].n_labels);
    ck_assert_int_eq(spec->tie_embeddings, HEADS[_i].tied);
    ck_assert(spec->logit_scale == HEADS[_i].logit_scale);
    ck_assert(spec->logit_softcap == HEADS[_i].logit_softcap);
    ck_assert_int_eq(spec->pooling, -1);
    ck_assert_int_eq(spec->normalize, -1);
    expect_said(HEADS[_i].warning);
    ppi_config_free(&config, &mem);
    ck_assert_int_eq(mem.bytes, 0);
}
END_TEST

/* ---- by the tensors of a directory ---- */

static char *rename_all(const char *header, const char *from, const char *to)
{
    char *text = strdup(header), *at;
    size_t done = 0;
    while ((at = strstr(text + done, from))) {
        char *next;
        done = (size_t)(at - text) + strlen(to);
        ck_assert_int_ge(asprintf(&next, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)),
                         0);
        free(text);
        text = next;
    }
    return text;
}

/* The tiny model under another class, with more keys in config.json, with `prefix` in the place of
 * "model." and another name for its head. */
struct stored {
    const char *class_name, *keys, *prefix, *head;
};

static void write_stored(const char *dir, const struct stored *stored)
{
    char keys[128], prefix[64], *header = make_header(0, TINY_N_TENSORS, 0);
    snprintf(keys, sizeof keys, "%s\"vocab_size\"", stored->keys);
    snprintf(prefix, sizeof prefix, "\"%s", stored->prefix);
    char *named = replaced(header, "lm_head.weight", stored->head);
    char *hung = rename_all(named, "\"model.", prefix);
    char *class_set = replaced(tiny_config, "LlamaForCausalLM", stored->class_name);
    char *config = replaced(class_set, "\"vocab_size\"", keys);
    if (strstr(stored->keys, "tie_word_embeddings")) { /* once */
        char *once = replaced(config, "\"tie_word_embeddings\":false,", "");
        free(config);
        config = once;
    }
    write_single(dir);
    write_file(dir, "config.json", config, strlen(config));
    write_safetensors(dir, SINGLE_FILE, hung, strlen(hung), TINY_DATA_BYTES);
    free(config);
    free(class_set);
    free(hung);
    free(named);
    free(header);
}

static pp_status open_here(const char *path, pp_model **model, pp_error *err)
{
    const pp_model_params params = {.struct_size = sizeof params, .log = keep_warning};
    last_warning[0] = '\0';
    return pp_model_open(path, &params, model, err);
}

static pp_model_config config_of(const pp_model *model)
{
    pp_model_config config = {.struct_size = sizeof config};
    ck_assert_int_eq(pp_model_get_config(model, &config, NULL), PP_OK);
    return config;
}

#define TABLE  "rotary_emb.inv_freq" /* passed over wherever it is */
#define TIED   "\"tie_word_embeddings\":true,"
#define LABELS "LlamaForSequenceClassification"

static const struct {
    struct stored stored;
    int32_t has_lm_head, n_labels, tied;
    int64_t n_parameters;
    const char *warning;
} STORED[] = {
    {{"LlamaForCausalLM", "", "model.", "lm_head.weight"}, 1, 0, 0, 196, ""},
    /* as an embedding model is published: the class with a head, tied, in names without "model." */
    {{"LlamaForCausalLM", TIED, "", TABLE}, 1, 0, 1, 164, ""},
    {{"LlamaModel", "", "", TABLE}, 0, 0, 0, 164, ""},
    {{"LlamaModel", TIED, "", TABLE}, 0, 0, 0, 164, ""},
    {{"LlamaModel", "", "model.", TABLE}, 0, 0, 0, 164, ""},
    {{"LlamaModel", "", "language_model.", TABLE}, 0, 0, 0, 164, ""},
    /* a head that is stored is one */
    {{"LlamaModel", "", "", "lm_head.weight"}, 1, 0, 0, 196, ""},
    /* saved without a head, and the class of the one that trained it */
    {{"LlamaForCausalLM", "", "", TABLE},
     0,
     0,
     0,
     164,
     "\"lm_head.weight\" is not stored: the model has no LM head, only hidden states"},
    {{LABELS, "\"num_labels\":8,", "model.", "score.weight"}, 0, 8, 0, 196, ""},
    {{LABELS, "\"num_labels\":8,", "", "score.weight"}, 0, 8, 0, 196, ""},
    {{LABELS, "\"num_labels\":8," TIED, "model.language_model.", "score.weight"}, 0, 8, 0, 196, ""},
    /* heads that nobody asked for */
    {{"LlamaForCausalLM", TIED, "model.", "score.weight"},
     1,
     0,
     1,
     164,
     "stored, and not used by llama: \"score.weight\""},
};

START_TEST(finds_heads)
{
    struct path dir = make_dir();
    pp_model *model;
    pp_error err = {.struct_size = sizeof err};
    write_stored(dir.text, &STORED[_i].stored);
    pp_status status = open_here(dir.text, &model, &err);
    ck_assert_msg(status == PP_OK, "%s", err.message);
    pp_model_config config = config_of(model);
    ck_assert_int_eq(config.has_lm_head, STORED[_i].has_lm_head);
    ck_assert_int_eq(config.n_labels, STORED[_i].n_labels);
    ck_assert_int_eq(config.tie_embeddings, STORED[_i].tied);
    ck_assert_int_eq(pp_model_n_parameters(model), STORED[_i].n_parameters);
    expect_said(STORED[_i].warning);
    pp_model_unref(model);
    remove_dir(dir.text);
}
END_TEST

static const struct {
    struct stored stored;
    const char *message;
} REFUSED[] = {
    {{LABELS, "\"num_labels\":3,", "model.", "score.weight"},
     "tensor \"score.weight\" has shape [8, 4]; config.json asks for [3, 4]"},
    {{LABELS, "", "model.", "score.weight"}, "config.json asks for [2, 4]"},
    {{LABELS, "\"num_labels\":8,", "model.", "lm_head.weight"}, "no tensor \"score.weight\""},
    /* half a file is no model without a head */
    {{"LlamaForCausalLM", "", "model.", TABLE}, "no tensor \"lm_head.weight\""},
};

START_TEST(refuses_heads)
{
    struct path dir = make_dir();
    pp_model *model;
    pp_error err = {.struct_size = sizeof err};
    write_stored(dir.text, &REFUSED[_i].stored);
    ck_assert_int_eq(open_here(dir.text, &model, &err), PP_ERR_FORMAT);
    ck_assert_msg(strstr(err.message, REFUSED[_i].message) != NULL, "%s", err.message);
    remove_dir(dir.text);
}
END_TEST

/* ---- in GGUF files ---- */

#define SCORES(rank) "tensor \"cls.output.weight\" " rank " d:0 q:672 @32 *720"
#define POOLING(n)   "key \"llama.pooling_type\" d:4 d:" n " "
#define LABELLED(n)  "key \"llama.classifier.output_labels\" d:9 d:8 q:" n " \"yes\" \"no\" \"a\" "

static const struct {
    const char *keys, *tensors;
    pp_status status;
    int32_t has_lm_head, n_labels, pooling;
    const char *said; /* in the message, or as a warning */
} GGUFS[] = {
    {"", "@32 *672", PP_OK, 1, 0, -1, ""},
    {POOLING("0"), "@32 *672", PP_OK, 1, 0, -1, ""},
    {POOLING("1"), "@32 *672", PP_OK, 1, 0, PP_POOLING_MEAN, ""},
    {POOLING("2"), "@32 *672", PP_OK, 1, 0, PP_POOLING_FIRST, ""},
    {POOLING("3"), "@32 *672", PP_OK, 1, 0, PP_POOLING_LAST, ""},
    {POOLING("4"), "@32 *672", PP_OK, 1, 0, -1, "but there is no tensor \"cls.output.weight\""},
    {POOLING("9"), "@32 *672", PP_OK, 1, 0, -1, "pooling_type is 9, which is not known"},
    {POOLING("4") LABELLED("3"), SCORES("d:2 q:4 q:3"), PP_OK, 0, 3, -1, ""},
    {"", SCORES("d:2 q:4 q:3"), PP_OK, 0, 3, -1, ""},
    {"", SCORES("d:1 q:4"), PP_OK, 0, 1, -1, ""}, /* as ggml writes a matrix of one row */
    {LABELLED("3"), SCORES("d:2 q:4 q:2"), PP_ERR_FORMAT, 0, 0, 0,
     "classifier.output_labels is an array of 3 strings; a name for each row of the tensor"},
    {"", "tensor \"cls.output.bias\" d:1 q:3 d:0 q:672 @32 *720", PP_ERR_UNSUPPORTED, 0, 0, 0,
     "\"cls.output.bias\" belongs to a head of labels that is more than one matrix"},
    {"", SCORES("d:2 q:2 q:3"), PP_ERR_FORMAT, 0, 0, 0,
     "\"cls.output.weight\" has shape [3, 2]; the file's keys ask for [3, 4]"},
};

START_TEST(reads_gguf_files)
{
    static const char count[] = "key \"llama.block_count\"";
    struct path dir = make_dir();
    char keys[256];
    size_t len;
    pp_model *model;
    pp_error err = {.struct_size = sizeof err};
    snprintf(keys, sizeof keys, "%s%s", GGUFS[_i].keys, count);
    char *first = replaced(gguf_tiny, count, keys);
    char *text = replaced(first, "@32 *672", GGUFS[_i].tensors);
    char *bytes = gguf_assemble(text, &len);
    write_file(dir.text, "m.gguf", bytes, len);
    pp_status status = open_here(path_in(dir.text, "m.gguf").text, &model, &err);
    ck_assert_msg(status == GGUFS[_i].status, "%d: %s", status, err.message);
    if (status == PP_OK) {
        pp_model_config config = config_of(model);
        ck_assert_int_eq(config.has_lm_head, GGUFS[_i].has_lm_head);
        ck_assert_int_eq(config.n_labels, GGUFS[_i].n_labels);
        ck_assert_int_eq(config.pooling, GGUFS[_i].pooling);
        ck_assert_int_eq(config.normalize, -1);
        expect_said(GGUFS[_i].said);
        pp_model_unref(model);
    } else {
        ck_assert_msg(strstr(err.message, GGUFS[_i].said) != NULL, "%s", err.message);
    }
    free(bytes);
    free(text);
    free(first);
    remove_dir(dir.text);
}
END_TEST

/* ---- pooling, by files of sentence-transformers ---- */

#define MODULE(path, type)                                                                         \
    "{'idx':0,'name':'0','path':'" path "','type':'sentence_transformers." type "'}"
#define MODEL  MODULE("", "models.Transformer")
#define POOLED MODULE("1_Pooling", "models.Pooling")
#define NORMED MODULE("2_Normalize", "models.Normalize")
#define NEWER                                                                                      \
    "[" MODULE("", "base.modules.transformer.Transformer") "," MODULE(                             \
        "1_Pooling", "sentence_transformer.modules.pooling.Pooling") "]"

static const struct {
    const char *modules, *pooling; /* NULL: no file */
    pp_status status;
    int32_t pooled, normalize;
    const char *said; /* in the message, or as a warning */
} MODULES[] = {
    {NULL, "{'pooling_mode':'cls'}", PP_OK, -1, -1, ""},
    {"[" MODEL "]", NULL, PP_OK, -1, -1, ""},
    {"[" MODEL "," POOLED "," NORMED "]",
     "{'word_embedding_dimension':4,'pooling_mode_cls_token':false,'pooling_mode_mean_tokens':"
     "false,"
     "'pooling_mode_lasttoken':true,'include_prompt':true}",
     PP_OK, PP_POOLING_LAST, 1, ""},
    {"[" MODEL "," POOLED "]", "{'pooling_mode_mean_tokens':true}", PP_OK, PP_POOLING_MEAN, 0, ""},
    {"[" MODEL "," POOLED "]", "{'pooling_mode_cls_token':true}", PP_OK, PP_POOLING_FIRST, 0, ""},
    {"[" MODEL "," POOLED "]", "{}", PP_OK, PP_POOLING_MEAN, 0, ""},
    {NEWER, "{'embedding_dimension':4,'pooling_mode':'lasttoken'}", PP_OK, PP_POOLING_LAST, 0, ""},
    {NEWER, "{'pooling_mode':['mean'],'pooling_mode_cls_token':true}", PP_OK, PP_POOLING_MEAN, 0,
     ""},
    {NEWER, "{'pooling_mode':['mean','cls']}", PP_OK, -1, 0, "and more than one is asked for"},
    {NEWER, "{'pooling_mode':'max'}", PP_OK, -1, 0, "and max is asked for"},
    {NEWER, "{'pooling_mode':'median'}", PP_OK, -1, 0, "and another one is asked for"},
    {NEWER, "{'pooling_mode_cls_token':true,'pooling_mode_max_tokens':true}", PP_OK, -1, 0,
     "and more than one is asked for"},
    {NEWER, "{'pooling_mode':'mean','include_prompt':false}", PP_OK, PP_POOLING_MEAN, 0,
     "\"include_prompt\" is false"},
    {"[" MODEL "," POOLED "," MODULE("2_Dense", "models.Dense") "," NORMED "]", "{}", PP_OK, -1, -1,
     "there is \"Dense\" too, and so no pooling is recommended"},
    {"[" MODEL "," NORMED "," POOLED "]", "{}", PP_OK, -1, -1, "there is \"Normalize\" too"},
    {"[{'path':'','type':'custom_st.Transformer'}," POOLED "]", "{}", PP_OK, -1, -1,
     "there is \"custom_st.Transformer\" too"},
    {"{}", NULL, PP_ERR_FORMAT, 0, 0, "modules.json is no JSON array"},
    {"[1]", NULL, PP_ERR_FORMAT, 0, 0, "module 0 is 1; an object with a string"},
    {"[{'type':'sentence_transformers.models.Transformer'}]", NULL, PP_ERR_FORMAT, 0, 0,
     "module 0 is an object; an object with a string"},
    {"[", NULL, PP_ERR_FORMAT, 0, 0, "modules.json"},
    {"[" MODEL "," POOLED "]", NULL, PP_ERR_IO, 0, 0, "1_Pooling/config.json"},
    {"[" MODEL "," POOLED "]", "[]", PP_ERR_FORMAT, 0, 0,
     "1_Pooling/config.json is no JSON object"},
    {"[" MODEL "," MODULE("../..", "models.Pooling") "]", NULL, PP_ERR_IO, 0, 0,
     "../../config.json"},
};

static void write_quoted(const char *dir, const char *name, const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    for (char *c = copy; c && *c; c++)
        if (*c == '\'')
            *c = '"';
    if (copy)
        write_file(dir, name, copy, strlen(copy));
    free(copy);
}

START_TEST(reads_modules)
{
    struct path dir = make_dir();
    pp_model *model;
    pp_error err = {.struct_size = sizeof err};
    int n_fds = count_fds();
    write_single(dir.text);
    ck_assert_int_eq(mkdir(path_in(dir.text, "1_Pooling").text, 0777), 0);
    write_quoted(dir.text, "modules.json", MODULES[_i].modules);
    write_quoted(dir.text, "1_Pooling/config.json", MODULES[_i].pooling);
    pp_status status = open_here(dir.text, &model, &err);
    ck_assert_msg(status == MODULES[_i].status, "%d: %s", status, err.message);
    if (status == PP_OK) {
        pp_model_config config = config_of(model);
        ck_assert_int_eq(config.pooling, MODULES[_i].pooled);
        ck_assert_int_eq(config.normalize, MODULES[_i].normalize);
        expect_said(MODULES[_i].said);
        pp_model_unref(model);
    } else {
        ck_assert_msg(strstr(err.message, MODULES[_i].said) != NULL, "%s", err.message);
    }
    ck_assert_int_eq(count_fds(), n_fds);
    remove_dir(dir.text);
}
END_TEST

/* ---- converted ---- */

/* A model of a class with other heads keeps them, and what it recommends, when it is converted. */
START_TEST(converts_heads)
{
    static const struct stored all[] = {
        {LABELS, "\"num_labels\":8,", "model.", "score.weight"},
        {"LlamaModel", TIED, "", TABLE},
        {"LlamaForCausalLM", TIED, "", TABLE},
    };
    struct path dir = make_dir(), out = path_in(dir.text, "out");
    pp_model *model, *other;
    pp_error err = {.struct_size = sizeof err};
    write_stored(dir.text, &all[_i / 3]);
    ck_assert_int_eq(mkdir(path_in(dir.text, "1_Pooling").text, 0777), 0);
    write_quoted(dir.text, "modules.json", "[" MODEL "," POOLED "," NORMED "]");
    write_quoted(dir.text, "1_Pooling/config.json", "{'pooling_mode_lasttoken':true}");
    ck_assert_int_eq(open_here(dir.text, &model, &err), PP_OK);
    pp_convert_params params;
    pp_convert_params_init(&params, sizeof params);
    params.weights = (int32_t[]){PP_WEIGHTS_F32, PP_WEIGHTS_INT8, PP_WEIGHTS_NF4}[_i % 3];
    pp_status status = pp_model_convert(model, out.text, &params, &err);
    ck_assert_msg(status == PP_OK, "%s", err.message);
    status = open_here(out.text, &other, &err);
    ck_assert_msg(status == PP_OK, "%s", err.message);
    expect_said("");
    pp_model_config a = config_of(model), b = config_of(other);
    b.dtype = a.dtype; /* F32 is the file's own */
    ck_assert_mem_eq(&a, &b, sizeof a);
    ck_assert_int_eq(b.pooling, PP_POOLING_LAST);
    ck_assert_int_eq(b.normalize, 1);
    ck_assert_int_eq(pp_model_n_parameters(model), pp_model_n_parameters(other));
    pp_model_unref(other);
    pp_model_unref(model);
    remove_dir(dir.text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heads");
    TCase *tcase = tcase_create("heads");
    tcase_add_loop_test(tcase, reads_heads, 0, (int)PPI_COUNT(HEADS));
    tcase_add_loop_test(tcase, finds_heads, 0, (int)PPI_COUNT(STORED));
    tcase_add_loop_test(tcase, refuses_heads, 0, (int)PPI_COUNT(REFUSED));
    tcase_add_loop_test(tcase, reads_gguf_files, 0, (int)PPI_COUNT(GGUFS));
    tcase_add_loop_test(tcase, reads_modules, 0, (int)PPI_COUNT(MODULES));
    tcase_add_loop_test(tcase, converts_heads, 0, 9);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_FORK);
}
